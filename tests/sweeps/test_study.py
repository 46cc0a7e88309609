import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from optuna.study import Study
from optuna.trial import TrialState

from rl2_sb3.cli import main
from rl2_sb3.sweeps import SPLITS, Job, Score, Sweep, Workers, best_points, load_sweep, score
from rl2_sb3.sweeps import run_sweep as run
from rl2_sb3.sweeps import write_points as write
from rl2_sb3.sweeps.claims import NUMBER, Claims
from rl2_sb3.sweeps.storage import Storage
from tests.sweeps.files import GRID, sweep_file

SAMPLES = "samples: {values: [1, 9]}"


def run_sweep(sweep: Sweep, storage: str, points: int | None = None, workers: int = 1) -> Claims:
    with Workers(workers) as pool:
        return run(Job(sweep, storage, points=points, progress=False), pool)


def test_a_grid_finds_the_best_point_of_each_setting(tmp_path: Path) -> None:
    """A bound 3 wide explores for ever; one of 0.1 does not."""
    sweep = load_sweep(sweep_file(tmp_path))
    study = run_sweep(sweep, f"sqlite:///{tmp_path}/s.db", workers=2)
    values = {(t.params["arms"], t.params["c"]): t.value for t in study.trials}
    assert len(study.trials) == len(values) == 4
    point = {"trials": 300, "split": "validation", "episodes": 20, "arms": 4, "c": 3.0}
    assert values[4, 3.0] == score("ucb1", point).mean  # a worker's number is this process's
    best = [each.point for each in best_points(study)]
    assert [(point["arms"], point["c"]) for point in best] == [(2, 0.1), (4, 0.1)]


def test_the_prior_is_of_the_setting(tmp_path: Path) -> None:
    """Points that play other tasks do not compete."""
    text = GRID.replace("arms: {values: [2, 4]}", "alpha: {value: 2}\n  beta: {values: [5.0, 1]}")
    sweep = load_sweep(sweep_file(tmp_path, text.replace("300", "50")))
    study = run_sweep(sweep, f"sqlite:///{tmp_path}/s.db")
    assert all(t.value and (t.value < 10) == (t.params["beta"] == 5.0) for t in study.trials)
    assert [best.point["beta"] for best in best_points(study)] == [1, 5.0]


def test_each_prior_has_its_best_point(tmp_path: Path) -> None:
    """An agent's prior is given, not tuned: the better one does not hide the other."""
    text = GRID.replace("ucb1", "beb").replace("c: {values: [0.1, 3.0]}", "scaling: {value: 0.001}")
    text = text.replace("arms: {values: [2, 4]}", "prior: {values: [paper, 'true']}")
    text = text.replace("parameters:", "parameters:\n  task: {value: tabular-mdp}")
    sweep = load_sweep(sweep_file(tmp_path, text.replace("300", "20").replace("20}", "3}")))
    study = run_sweep(sweep, f"sqlite:///{tmp_path}/s.db")
    assert [best.point["prior"] for best in best_points(study)] == ["paper", "true"]


def test_points_that_are_done_are_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    args = ["sweep", str(sweep_file(tmp_path)), "--workers", "1", "--test-trials", "200"]
    main(args)
    first = Path("results/sweeps/tiny.csv").read_text()
    monkeypatch.setattr("rl2_sb3.sweeps.points.score", None)  # whoever plays a point now fails
    main(args)
    assert Path("results/sweeps/tiny.csv").read_text() == first
    best = list(csv.DictReader(Path("results/sweeps/tiny-best.csv").read_text().splitlines()))
    assert [(row["arms"], row["c"]) for row in best] == [("2", "0.1"), ("4", "0.1")]
    assert "tiny-best.csv" in capsys.readouterr().out


def test_several_sweeps_run_one_after_the_other(tmp_path: Path) -> None:
    """All are checked before any runs."""
    one, two, broken = (tmp_path / f"{name}.yaml" for name in ("one", "two", "broken"))
    one.write_text(GRID.replace("tiny", "one").replace("[2, 4]", "[10, 2]"))
    two.write_text(GRID.replace("tiny", "two").replace("300", "20"))
    broken.write_text(GRID.replace("method: grid", "method: gird"))
    run = ["sweep", "--workers", "1", "--test-trials", "20", "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match="gird"):
        main([*run, str(one), str(broken)])
    assert not (tmp_path / "out").exists()
    main([*run, str(one), str(two)])
    rows = list(csv.DictReader((tmp_path / "out/one.csv").read_text().splitlines()))
    points = [("2", "0.1"), ("2", "3.0"), ("10", "0.1"), ("10", "3.0")]  # by size, not as text
    assert [(row["arms"], row["c"]) for row in rows] == points
    best = csv.DictReader((tmp_path / "out/one-best.csv").read_text().splitlines())
    assert [row["arms"] for row in best] == ["2", "10"]
    assert len((tmp_path / "out/two.csv").read_text().splitlines()) == 1 + 4


def completed(study: Study) -> Counter[tuple[Any, ...]]:
    trials = study.get_trials(states=(TrialState.COMPLETE,))
    return Counter((trial.params["arms"], trial.params["c"]) for trial in trials)


def test_an_interrupted_grid_runs_each_point_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = load_sweep(sweep_file(tmp_path, GRID.replace("[2, 4]", "[2, 3, 4]")))
    storage = f"sqlite:///{tmp_path}/s.db"
    add, added = Study.add_trial, []

    def interrupted(*args: Any) -> None:
        added.append(args)
        if len(added) == 3:
            raise KeyboardInterrupt
        add(*args)

    with monkeypatch.context() as patch:
        patch.setattr(Study, "add_trial", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(sweep, storage)
    study = run_sweep(sweep, storage)
    assert completed(study) == dict.fromkeys([(k, c) for k in (2, 3, 4) for c in (0.1, 3.0)], 1)
    assert not study.get_trials(states=(TrialState.RUNNING,))


def test_a_file_is_of_one_session_at_a_time(tmp_path: Path) -> None:
    sweep = load_sweep(sweep_file(tmp_path, GRID.replace("300", "3")))
    storage = f"sqlite:///{tmp_path}/s.db"
    with Storage(storage).alone(), pytest.raises(ValueError, match="Another session"):
        run_sweep(sweep, storage)
    assert len(run_sweep(sweep, storage).trials) == 4


def test_the_longest_points_are_asked_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results do not tell in which order the points were run."""
    text = GRID.replace("ucb1", "ots-density").replace("c: {values: [0.1, 3.0]}", SAMPLES)
    sweep = load_sweep(sweep_file(tmp_path, text.replace("{value: 20}", "{values: [3, 20]}")))
    monkeypatch.setattr("rl2_sb3.sweeps.points.score", lambda *_: Score(1.0, 0.1))
    study = run_sweep(sweep, f"sqlite:///{tmp_path}/s.db")
    points = [tuple(t.params[key] for key in ("episodes", "arms", "samples")) for t in study.trials]
    assert points[:4] == [(20, 4, 9), (20, 2, 9), (3, 4, 9), (20, 4, 1)]
    assert {best.point["samples"] for best in best_points(study)} == {1}
    write(study, tmp_path / "points.csv")
    rows = list(csv.DictReader((tmp_path / "points.csv").read_text().splitlines()))
    written = [(int(row["episodes"]), int(row["arms"]), int(row["samples"])) for row in rows]
    assert written == [(n, k, s) for k in (2, 4) for n in (3, 20) for s in (1, 9)]


def test_a_point_that_two_workers_ran_has_one_row(tmp_path: Path) -> None:
    sweep = load_sweep(sweep_file(tmp_path))
    study = run_sweep(sweep, f"sqlite:///{tmp_path}/s.db")
    study.add_trial(study.trials[0])
    assert study.trials[0].user_attrs[NUMBER] == 0
    write(study, tmp_path / "points.csv")
    assert len((tmp_path / "points.csv").read_text().splitlines()) == 1 + 4


def test_an_edited_sweep_is_another_study(tmp_path: Path) -> None:
    """What was computed stays; under another name, the edited one is run."""
    storage = f"sqlite:///{tmp_path}/s.db"
    run_sweep(load_sweep(sweep_file(tmp_path)), storage)
    for old, new, told in [
        ("300", "200", "trials: 300 there, 200 here"),
        ("method: grid", "method: random", "method: grid there, random here"),
        ("baseline, ucb1", "baseline, thompson", "command: baseline ucb1 "),
        ("3.0]", "4.0]", "c: categorical, 0.1, 3.0 there, categorical, 0.1, 4.0 here"),
    ]:
        text = GRID.replace(old, new)
        if "thompson" in new:
            text = text.partition("  c:")[0]
        with pytest.raises(ValueError, match="give this one another `name`") as raised:
            run_sweep(load_sweep(sweep_file(tmp_path, text)), storage)
        assert told in str(raised.value)
    renamed = load_sweep(sweep_file(tmp_path, GRID.replace("300", "200").replace("tiny", "small")))
    study = run_sweep(renamed, storage)
    point = {"split": "validation", "trials": 200, "episodes": 20}
    for trial in study.trials:
        assert trial.value == score("ucb1", {**point, **trial.params}).mean


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_ranges_are_searched(method: str, tmp_path: Path) -> None:
    """Resuming goes on to other points."""
    text = GRID.replace("method: grid", f"method: {method}").replace(
        "c: {values: [0.1, 3.0]}",
        "c: {min: 0.01, max: 3.0, distribution: log_uniform_values}",
    )
    sweep = load_sweep(sweep_file(tmp_path, text))
    for points in (3, 6):
        study = run_sweep(sweep, f"sqlite:///{tmp_path}/s.db", points=points)
    chosen = [trial.params["c"] for trial in study.trials]
    assert len(set(chosen)) == len(chosen) == 6
    assert all(0.01 <= c <= 3 for c in chosen)
    whole = run_sweep(sweep, f"sqlite:///{tmp_path}/whole.db", points=6)
    if method == "random":  # the points are those of a session that was not interrupted
        assert [trial.params["c"] for trial in whole.trials] == chosen


def test_a_run_cap_ends_a_search_and_a_grid(tmp_path: Path) -> None:
    capped = GRID.replace("method: grid", "method: grid\nrun_cap: 3").replace("300", "3")
    assert (
        len(
            run_sweep(
                load_sweep(sweep_file(tmp_path, capped)), "sqlite://" + f"/{tmp_path}/g.db"
            ).trials
        )
        == 3
    )
    search = load_sweep(sweep_file(tmp_path, capped.replace("grid", "random")))
    assert len(run_sweep(search, f"sqlite:///{tmp_path}/r.db").trials) == 3
    assert len(run_sweep(search, f"sqlite:///{tmp_path}/q.db", points=2).trials) == 2
    assert len(run_sweep(search, f"sqlite:///{tmp_path}/q.db", points=9).trials) == 3


def test_a_point_that_fails_ends_no_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(baseline: str, point: dict[str, Any]) -> Score:
        if point["c"] == 3.0 and point["arms"] == 2:
            raise ZeroDivisionError("no arms")
        return score(baseline, {**point, "trials": 20})

    monkeypatch.setattr("rl2_sb3.sweeps.points.score", broken)
    words = ["sweep", str(sweep_file(tmp_path)), "--workers", "1", "--test-trials", "20"]
    words += ["--out", str(tmp_path / "out")]
    with pytest.raises(
        SystemExit, match=r"1 of 4 configurations failed.*ZeroDivisionError: no arms"
    ):
        main(words)
    assert "failed: ZeroDivisionError: no arms" in capsys.readouterr().err
    assert len((tmp_path / "out/tiny.csv").read_text().splitlines()) == 1 + 3
    with pytest.raises(SystemExit, match="--retry-failed runs them again"):
        main(words)  # it is not run again by itself
    monkeypatch.setattr("rl2_sb3.sweeps.points.score", score)
    main([*words, "--retry-failed"])
    assert len((tmp_path / "out/tiny.csv").read_text().splitlines()) == 1 + 4


def test_the_words_of_the_command_are_parameters_too(tmp_path: Path) -> None:
    text = GRID.replace('ucb1, "', 'ucb1, --trials=20, "').replace("  trials: {value: 300}\n", "")
    study = run_sweep(load_sweep(sweep_file(tmp_path, text)), f"sqlite:///{tmp_path}/s.db")
    write(study, tmp_path / "points.csv")
    rows = list(csv.DictReader((tmp_path / "points.csv").read_text().splitlines()))
    assert {row["trials"] for row in rows} == {"20"}


def test_thousands_of_points_take_one_transaction_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study's runs are read once, and each run is written once, when it is done."""
    calls: Counter[str] = Counter()
    for name in ("ask", "tell", "enqueue_trial", "get_trials", "add_trial"):
        method = getattr(Study, name)

        def counted(*args: Any, name: str = name, method: Any = method, **kwargs: Any) -> Any:
            calls[name] += 1
            return method(*args, **kwargs)

        monkeypatch.setattr(Study, name, counted)
    text = GRID.replace("300", "1").replace("[0.1, 3.0]", str([i / 10 for i in range(20)]))
    run_sweep(load_sweep(sweep_file(tmp_path, text)), f"sqlite:///{tmp_path}/s.db")
    assert calls["add_trial"] == 40
    assert calls["ask"] == calls["tell"] == calls["enqueue_trial"] == 0
    assert calls["get_trials"] < 10


def test_what_would_write_over_another_table_is_refused(tmp_path: Path) -> None:
    for names in (("same", "same"), ("x", "x-best")):
        files = [tmp_path / f"{i}.yaml" for i in range(2)]
        for file, name in zip(files, names, strict=True):
            file.write_text(GRID.replace("name: tiny", f"name: {name}"))
        with pytest.raises(SystemExit, match=rf"0\.yaml and .*1\.yaml both write {names[1]}\.csv"):
            main(["sweep", *map(str, files), "--out", str(tmp_path / "out")])


@pytest.mark.parametrize("option", ["--workers", "--points", "--test-trials"])
def test_numbers_below_one_are_refused(option: str, tmp_path: Path) -> None:
    name = option[2:].replace("-", "_")
    with pytest.raises(SystemExit, match=f"{name}=0: use a whole number from 1 on"):
        main(["sweep", str(sweep_file(tmp_path)), option, "0", "--out", str(tmp_path / "out")])


def test_a_baseline_plays_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    main(["baseline", "ucb1", "--arms=2", "--episodes", "10", "--c=0.1", "--trials", "500"])
    words = capsys.readouterr().out.split()
    assert words[::2] == ["mean", "standard_error"]
    assert 5.5 < float(words[1]) < 6.5
    for args, message in [
        (["ucb1", "--arms"], "come as --key value"),
        (["ucb1", "--armz", "2"], "Did you mean 'arms'"),
        (["--arms", "2"], "usage"),
    ]:
        with pytest.raises(SystemExit, match=message):
            main(["baseline", *args])


@pytest.mark.parametrize("args", [["--help"], ["ucb1", "--help"], ["ucb1", "-h"]])
def test_a_baseline_prints_its_help(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(["baseline", *args])
    out = capsys.readouterr().out
    assert out.startswith("usage: rl2 baseline NAME")
    assert "beb" in out.partition("Baselines:")[2]


def test_nobody_types_the_seed_of_the_validation_split() -> None:
    """``rl2 evaluate`` reports on the test split by default, and on another by ``--seed 1``."""
    assert SPLITS["test"] == 0
    assert SPLITS["validation"] > 100_000
