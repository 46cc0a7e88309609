"""What is read of runs and evaluations, the words for it, and what cannot be read."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl2_sb3.cli import main
from rl2_sb3.plots import adaptation_curve
from rl2_sb3.plots.logs import (
    KL,
    read_config,
    read_evaluation,
    read_progress,
    reference_label,
    run_labels,
    running_mean,
    spread,
    step_unit,
    task_title,
)
from tests.plots.runs import HEADER, RETURN, STEPS, write_run


def test_resumed_run_replaces_what_was_logged_past_its_checkpoint(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "run",
        [(10, 1.0), (20, 2.0), (30, 3.0), (40, 4.0)],  # killed; the checkpoint was at 20
        [(30, 5.0), (40, ""), (50, 6.0)],
    )

    curve = read_progress(run)

    assert curve.x.tolist() == [10, 20, 30, 50]
    assert curve.y.tolist() == [1, 2, 5, 6]
    assert curve.error.tolist() == [0, 0, 0, 0]


def test_a_part_that_goes_back_further_cuts_all_parts_before_it(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "run", [(10, 1.0), (20, 2.0), (30, 3.0)], [(30, 4.0), (40, 5.0)], [(20, 6.0)]
    )

    assert read_progress(run).y.tolist() == [1, 6]


def test_tenth_part_follows_the_ninth(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *[[(part, float(part)), (90, 0.0)] for part in range(1, 11)])

    assert read_progress(run).x.tolist() == [*range(1, 11), 90]


def test_a_part_cuts_from_its_first_step_even_before_a_trial_ended_in_it(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [(10, 1.0), (20, 2.0), (30, 3.0)], [(20, ""), (40, 4.0)])

    assert read_progress(run).x.tolist() == [10, 40]


def test_log_may_be_empty_or_end_in_half_a_row(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [(10, 1.0), (20, 2.0)])
    with (run / "progress.csv").open("a") as file:
        file.write("4.2,3")
    (run / "progress-2.csv").touch()

    assert read_progress(run).x.tolist() == [10, 20]


def test_evaluation_is_read_by_agent_in_the_order_of_episodes(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.csv"
    path.write_text(
        "trials,agent,episode,mean,standard_error\n"
        "100,greedy,2,0.7,0.02\n100,random,1,0.5,0.01\n200,greedy,1,0.6,0.03\n"
    )

    curves, fewest, most = read_evaluation(path)

    assert list(curves) == ["greedy", "random"]
    assert [part.tolist() for part in curves["greedy"]] == [[1, 2], [0.6, 0.7], [0.03, 0.02]]
    assert (fewest, most) == (100, 200)


def test_running_mean_takes_what_there_is_at_the_ends() -> None:
    values = np.array([1.0, 2.0, 6.0, 3.0, 0.0])

    assert running_mean(values, np.full(5, 1)).tolist() == [1.5, 3.0, 11 / 3, 3.0, 1.5]
    assert running_mean(values, np.array([0, 1, 2, 0, 9])).tolist() == [1.0, 3.0, 2.4, 3.0, 2.4]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ([0.2, 0.8], [0.2, 0.8]),  # far enough apart: they stay
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.9, 0.5, 0.52, 0.1], [0.9, 0.46, 0.56, 0.1]),
        ([0.4, 0.5, 0.5], [0.3667, 0.4667, 0.5667]),  # one pool: moved as little as can be
        ([0.0, 1.0, 0.99], [0.0, 1.0, 0.9]),  # within the ends
    ],
)
def test_spread_moves_labels_apart_and_no_further(wanted: list[float], found: list[float]) -> None:
    np.testing.assert_allclose(spread(np.array(wanted), 0.1), found, atol=1e-4)


def test_labels_that_cannot_fit_overlap_both_ends_alike() -> None:
    np.testing.assert_allclose(spread(np.array([0.5, 0.5, 0.9]), 0.6), [-0.1, 0.5, 1.1])


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        ([{"seed": 1}, {"seed": 2}], ["seed 1", "seed 2"]),
        (
            [{"algorithm": "ppo", "seed": 1}, {"algorithm": "trpo", "seed": 2}],
            ["PPO, seed 1", "TRPO, seed 2"],
        ),
        ([{"options": {"arms": 10}}, {"options": {"arms": 5}}], ["arms 10", "arms 5"]),
        ([{"episodes": 1}, {"episodes": 1000}], ["1 episode", "1,000 episodes"]),
        ([{}, {"task": "maze", "episodes": 2}], ["bandit, 10 episodes", "maze, 2 episodes"]),
        (
            [{"learning_rate": 1e-4, "seed": 1}, {}],
            ["learning rate 0.0001, seed 1", "learning rate 0.003, seed 0"],
        ),
        ([{"shared": True}, {"shared": False}], ["shared on", "shared off"]),
        ([{"seed": 1}, {"seed": 1, "steps": 5}], ["(run0)", "(run1)"]),  # steps show on the axis
        ([{"hidden_size": 9}, {}], ["hidden size 9", "(run1)"]),  # a setting of newer versions
        ([{}], ["(run0)"]),
    ],
)
def test_labels_tell_what_differs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: list[dict[str, Any]],
    labels: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [write_run(Path(f"run{i}"), **change) for i, change in enumerate(changes)]

    assert run_labels([read_config(run) for run in runs], runs) == labels


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ([{}], "bandit, 10 episodes a trial"),
        ([{"episodes": 1}], "bandit, 1 episode a trial"),
        ([{}, {"options": {"arms": 9}}], "bandit, 10 episodes a trial"),
        ([{}, {"episodes": 100}], "bandit"),
        ([{"task": "tabular-mdp", "episodes": 25}], "tabular-mdp, 25 episodes a trial"),
        ([{}, {"task": "maze"}], "bandit and maze, 10 episodes a trial"),
    ],
)
def test_title_says_what_the_runs_share(
    tmp_path: Path, changes: list[dict[str, Any]], title: str
) -> None:
    runs = [write_run(tmp_path / f"run{i}", **change) for i, change in enumerate(changes)]

    assert task_title([read_config(run) for run in runs]) == title


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (6.65999, "x 6.660"),
        (5.0, "x 5.0"),
        (0.0, "x 0.0"),
        (78.612, "x 78.61"),
        (-78.612, "x -78.61"),
        (0.0123, "x 0.012"),
        (40799.87, "x 40,800"),
    ],
)
def test_reference_label_has_the_digits_that_matter(value: float, label: str) -> None:
    assert reference_label("x", value) == label


def test_steps_are_counted_in_readable_units() -> None:
    assert [step_unit(steps) for steps in (9_999, 10_000, 999_999, 1e6, 2e9)] == [
        (1, ""),
        (1e3, "thousands"),
        (1e3, "thousands"),
        (1e6, "millions"),
        (1e9, "billions"),
    ]


@pytest.mark.parametrize("config", ["{", "[]", "{}", '{"task": "bandit", "options": {}}'])
def test_no_config_of_a_run(tmp_path: Path, config: str) -> None:
    run = write_run(tmp_path / "run", [(10, 1.0)])
    path = run / "config.json"
    path.write_text(config)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))} .* Pass the folder of a run"):
        read_config(run)


def test_no_run(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ValueError, match=rf"^There is no run '{re.escape(str(folder))}': pass"):
            read_config(folder)


def test_no_progress_file(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "progress-old.csv").touch()
    with pytest.raises(ValueError, match=rf"^{re.escape(str(run))} has no progress\.csv: pass"):
        read_progress(run)


@pytest.mark.parametrize("text", ["", f"{HEADER}\n", f"{HEADER}\n1,10,,\n", f"{STEPS},x\n10,1\n"])
def test_no_finished_trial_yet(tmp_path: Path, text: str) -> None:
    run = write_run(tmp_path / "run")
    (run / "progress.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"no '{RETURN}' .* train until a trial has ended"):
        read_progress(run)


def test_what_is_missing_is_told_by_column(tmp_path: Path) -> None:
    taught, trained = write_run(tmp_path / "taught"), write_run(tmp_path / "run", [(10, 1.0)])
    (taught / "progress.csv").write_text(f"{KL},{STEPS}\n0.5,10\n")
    assert read_progress(taught, KL).y.tolist() == [0.5]
    with pytest.raises(SystemExit, match=rf"no '{RETURN}'.*`rl2 imitate` logs none"):
        main(["plot", str(taught)])
    with pytest.raises(ValueError, match=rf"no '{KL}'.*a run of `rl2 imitate`"):
        read_progress(trained, KL)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"\xff\xfe\x00", "cannot be read as CSV"),
        (b'a,b\n"1,2\n', "cannot be read as CSV"),
        (b"a,b\n1,2\n", f"lacks the columns {STEPS}"),
        (f"{STEPS},{RETURN}\n1\n2,3\n".encode(), "row 2 has not 2 cells"),
        (f"{STEPS},{RETURN}\n1,2,3\n".encode(), "row 2 has not 2 cells"),
        (f"{STEPS},{RETURN}\n1,two\n".encode(), f"has 'two' in '{RETURN}'"),
        (f"{STEPS},{RETURN}\n1,nan\n".encode(), f"has 'nan' in '{RETURN}'"),
    ],
)
def test_unreadable_progress(tmp_path: Path, text: bytes, message: str) -> None:
    run = write_run(tmp_path / "run", [(10, 1.0)], [])
    path = run / "progress-2.csv"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}:? {re.escape(message)}"):
        read_progress(run)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read as CSV"),
        ("", "lacks the columns agent, episode, mean, standard_error, trials"),
        ("agent,episode,mean\na,1,2\n", "lacks the columns standard_error, trials"),
        ("agent,episode,mean,standard_error,trials\n", "has no rows"),
        ("agent,episode,mean,standard_error,trials\na,1,2\n", "row 2 has not 5 cells"),
        ("agent,episode,mean,standard_error,trials\na,1,,0,5\n", "has '' in 'mean'"),
        ("agent,episode,mean,standard_error,trials\n" + "a,1,2,0,5\n" * 2, "has episode 1 of 'a'"),
    ],
)
def test_unreadable_evaluation(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "evaluation.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}:? {message}"):
        adaptation_curve(path, tmp_path / "out.png")
