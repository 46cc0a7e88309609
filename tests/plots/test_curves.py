import csv
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from docs.memory_figure import CELL, TRIALS, memory_figure, trial_positions
from rl2_sb3.cli import main
from rl2_sb3.plots import adaptation_curve, learning_curve
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
from rl2_sb3.plots.style import PALETTE

STEPS, RETURN = "time/total_timesteps", "trial/return"
HEADER = f"time/time_elapsed,{STEPS},{RETURN},trial/return_episode_01"
CONFIG: dict[str, Any] = {
    "task": "bandit",
    "episodes": 10,
    "steps": 1000,
    "seed": 0,
    "algorithm": "ppo",
    "learning_rate": 3e-3,
    "shared": False,
    "options": {},
}


def write_run(folder: Path, *parts: Sequence[tuple[int, float | str]], **changes: Any) -> Path:
    """A run's folder: its settings, and a log for each part, of steps and returns."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG | changes))
    for number, rows in enumerate(parts, start=1):
        lines = [f"{step / 7},{step},{value},0.5" for step, value in rows]
        name = "progress.csv" if number == 1 else f"progress-{number}.csv"
        (folder / name).write_text("\n".join([HEADER, *lines]) + "\n")
    return folder


def write_evaluation(path: Path, agents: dict[str, list[float]], trials: int = 1000) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["agent", "episode", "mean", "standard_error", "trials"])
        for agent, means in agents.items():
            writer.writerows([agent, i + 1, mean, 0.01, trials] for i, mean in enumerate(means))
    return path


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that would be written, for a look at what is in them."""
    seen: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, out, format: seen.append(figure))
    return seen


def assert_texts_are_clear(figure: Figure) -> None:
    """No text lies over another one or over the figure's edge."""
    figure.draw_without_rendering()
    hidden = [
        tick.label1
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    ]
    boxes: dict[str, Bbox] = {}
    for i, text in enumerate(figure.findobj(Text)):
        assert isinstance(text, Text)
        if text.get_text().strip() and text.get_visible() and text not in hidden:
            # An annotation's own extent would hold its line, too.
            boxes[f"{i}: {text.get_text()}"] = Text.get_window_extent(text)
    assert len(boxes) > 5
    for name, box in boxes.items():
        assert 0 <= box.x0 <= box.x1 <= figure.bbox.width, f"{name} is cut off"
        assert 0 <= box.y0 <= box.y1 <= figure.bbox.height, f"{name} is cut off"
    for (name, box), (other, second) in combinations(boxes.items(), 2):
        assert not Bbox.intersection(box, second), f"{name} lies over {other}"


def labels_right_of(axes: Axes) -> list[str]:
    """From top to bottom."""
    labels = [t for t in axes.texts if t.get_position()[0] > 1]
    return [t.get_text() for t in sorted(labels, key=lambda t: -t.get_position()[1])]


# --- data -----------------------------------------------------------------------------------------


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


# --- words ----------------------------------------------------------------------------------------


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


# --- figures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".PDF", b"%PDF")]
)
def test_format_follows_the_suffix(tmp_path: Path, suffix: str, magic: bytes) -> None:
    run = write_run(tmp_path / "run", [(10, 1.0)])
    out = tmp_path / "new" / f"out{suffix}"

    assert learning_curve([run], out) == out
    assert out.read_bytes().startswith(magic)


def test_other_figures_are_written(tmp_path: Path) -> None:
    evaluation = write_evaluation(tmp_path / "evaluation.csv", {"RL2": [0.5]})

    assert adaptation_curve(evaluation, tmp_path / "out.png").stat().st_size > 10_000
    assert memory_figure(tmp_path / "memory.png").stat().st_size > 10_000


def test_learning_curve_shows_runs_and_references(tmp_path: Path, figures: list[Figure]) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, (3, 100))
    runs = [
        write_run(
            tmp_path / f"run{seed}",
            [(20_000 * (i + 1), 5 + i / 60 + noise[seed, i]) for i in range(100)],
            seed=seed,
        )
        for seed in range(3)
    ]
    references = {"random": 5.0, "Bayes optimum": 6.65999, "UCB1": 6.62, "Gittins": 6.61}

    learning_curve(runs, tmp_path / "out.png", references)

    (axes,) = figures[0].axes
    assert axes.get_title(loc="left") == "bandit, 10 episodes a trial"
    assert axes.get_xlabel() == "Environment steps (millions)"
    assert axes.get_xlim() == (0, 2)
    raw, smooth = axes.lines[:2]
    logged, shown = np.asarray(raw.get_ydata(), float), np.asarray(smooth.get_ydata(), float)
    np.testing.assert_allclose(logged, read_progress(runs[0]).y)
    assert np.diff(shown).std() < np.diff(logged).std() / 2
    assert smooth.get_linewidth() > raw.get_linewidth()
    right = ["Bayes optimum 6.660", "UCB1 6.620", "Gittins 6.610", "random 5.0"]
    assert labels_right_of(axes) == right
    (legend,) = figures[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["seed 0", "seed 1", "seed 2"]
    assert legend.get_window_extent().y1 <= axes.get_tightbbox().y0  # type: ignore[union-attr]
    assert_texts_are_clear(figures[0])


@pytest.mark.parametrize("many", [3, 12])
def test_long_legend_stays_within_the_figure(
    tmp_path: Path, figures: list[Figure], many: int
) -> None:
    options = {f"a_long_option_{i}": i for i in range(many)}
    runs = [
        write_run(
            tmp_path / f"run{seed}",
            [(10, 1.0), (20, 2.0)],
            seed=seed,
            options={key: value + seed for key, value in options.items()},
        )
        for seed in range(9)
    ]

    learning_curve(runs, tmp_path / "out.png")

    assert figures[0].axes[0].get_xlabel() == "Environment steps"
    assert_texts_are_clear(figures[0])
    assert figures[0].axes[0].get_window_extent().height > 3 * figures[0].dpi
    smooth = [line for line in figures[0].axes[0].lines if line.get_linewidth() == 2]
    assert len({(line.get_color(), line.get_linestyle()) for line in smooth}) == 9


@pytest.mark.parametrize("episodes", [1, 10, 40, 500])
def test_adaptation_curve_names_each_line_at_its_end(
    tmp_path: Path, figures: list[Figure], episodes: int
) -> None:
    x = np.arange(episodes)
    agents = {
        "random": 0.5 + 0 * x,
        "greedy": 0.82 - 0.32 * np.exp(-x / 3),
        "Thompson sampling": 0.823 - 0.323 / (1 + x / 8),
        "RL2PPO": 0.821 - 0.321 / (1 + x / 4),
        "Gittins": 0.822 - 0.322 / (1 + x / 4),
    }
    evaluation = write_evaluation(
        tmp_path / "evaluation.csv", {name: list(mean) for name, mean in agents.items()}
    )

    adaptation_curve(evaluation, tmp_path / "out.png")

    (axes,) = figures[0].axes
    assert axes.get_xlabel() == "Episode within the trial"
    assert axes.get_ylabel() == "Mean return"
    assert axes.get_xticklabels()[0].get_text() == "1"
    assert axes.get_xticklabels()[-1].get_text() == str(episodes)
    assert sorted(labels_right_of(axes)) == sorted(agents)
    ours, *others = axes.lines
    assert ours.get_color() == PALETTE[0]
    assert all(ours.get_linewidth() > line.get_linewidth() for line in others)
    assert all(ours.get_zorder() > line.get_zorder() for line in others)
    assert {line.get_marker() for line in axes.lines} == {"o" if episodes <= 20 else ""}
    assert figures[0].legends == []
    assert_texts_are_clear(figures[0])
    if episodes <= 50:
        np.testing.assert_allclose(np.asarray(ours.get_ydata(), float), agents["RL2PPO"])
        low, high = axes.collections[0].get_paths()[0].get_extents().intervaly
        np.testing.assert_allclose(low, agents["RL2PPO"].min() - 0.02)
        np.testing.assert_allclose(high, agents["RL2PPO"].max() + 0.02)


def test_memory_figure_is_legible(tmp_path: Path, figures: list[Figure]) -> None:
    memory_figure(tmp_path / "memory.png")

    assert figures[0].get_size_inches().tolist() == [12, 3.6]
    words = [text.get_text() for text in figures[0].axes[0].texts]
    for trial in TRIALS:
        assert len(set(trial.lengths)) > 1
    assert words.count("start = 1:\nreset to 0") == len(TRIALS)  # once a trial
    assert words.count("$d$ = 1") == words.count("carried\non") == 2 * len(TRIALS)
    assert_texts_are_clear(figures[0])


def test_memory_lies_between_the_inputs() -> None:
    cells, states = trial_positions((2, 1), 0.0)

    assert len(cells) == 3
    assert len(states) == 4
    assert all(
        a < cell + CELL / 2 < b for a, cell, b in zip(states[:-1], cells, states[1:], strict=True)
    )


# --- errors ---------------------------------------------------------------------------------------


def test_no_runs() -> None:
    with pytest.raises(ValueError, match="runs is empty"):
        learning_curve([], Path("out.png"))


@pytest.mark.parametrize("name", ["out.gif", "out"])
def test_unknown_format_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    run = write_run(tmp_path / "run", [(10, 1.0)])
    with pytest.raises(ValueError, match=rf"{name}'.* \.png, \.svg or \.pdf"):
        learning_curve([run], tmp_path / "new" / name)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("config", [None, "{", "[]", "{}", '{"task": "bandit", "options": {}}'])
def test_no_config_of_a_run(tmp_path: Path, config: str | None) -> None:
    run = write_run(tmp_path / "run", [(10, 1.0)])
    path = run / "config.json"
    path.unlink() if config is None else path.write_text(config)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))} .* Pass the folder of a run"):
        read_config(run)


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


def test_plots_import_neither_torch_nor_stable_baselines3() -> None:
    package = Path(__file__).parents[2] / "rl2_sb3"
    code = (
        "import sys, types\n"
        "parent = types.ModuleType('rl2_sb3')\n"  # the real one brings the algorithms
        f"parent.__path__ = [{str(package)!r}]\n"
        "sys.modules['rl2_sb3'] = parent\n"
        "import rl2_sb3.plots\n"
        "assert not {'torch', 'stable_baselines3', 'matplotlib.pyplot'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
