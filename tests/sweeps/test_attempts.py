"""What becomes of configurations that are stopped, whose workers die, or that come twice."""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from rl2_sb3.sweeps import Job, Score, best_points, failures, load_sweep, run_sweep, write_points
from rl2_sb3.sweeps.claims import ATTEMPTS, failure, number_of, open_study
from rl2_sb3.sweeps.runs import Failed, Outcome
from rl2_sb3.sweeps.storage import Storage
from rl2_sb3.sweeps.study import finished
from rl2_sb3.sweeps.workers import Workers
from tests.sweeps.files import GRID, sweep_file

TRAIN = """\
name: tiny
program: rl2
command: ["${env}", rl2, train, bandit, "${args}"]
method: grid
metric: {name: trial/return, goal: maximize}
parameters:
  steps: {value: 40}
  hidden_size: {values: [2, 3]}
"""


class Played:
    """In the place of runs: their values are the units, and some end otherwise."""

    def __init__(self, raising: Callable[[list[str]], BaseException | None] = lambda _: None):
        self.words: list[list[str]] = []
        self.raising = raising

    def __call__(self, words: list[str], *_: Any) -> Outcome:
        self.words.append(words)
        error = self.raising(words)
        if error is not None:
            raise error
        (units,) = (float(word.partition("=")[2]) for word in words if "hidden" in word)
        return Outcome([units], False)


def job(tmp_path: Path, text: str, points: int | None = None) -> Job:
    sweep = load_sweep(sweep_file(tmp_path, text))
    return Job(sweep, f"sqlite:///{tmp_path}/s.db", tmp_path, points, progress=False)


def test_what_is_stopped_is_made_again_however_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rl2_sb3.sweeps.study.play", Played(lambda _: KeyboardInterrupt()))
    for _ in range(ATTEMPTS + 2):
        with pytest.raises(KeyboardInterrupt):
            run_sweep(job(tmp_path, TRAIN))
    monkeypatch.setattr("rl2_sb3.sweeps.study.play", Played())
    study = run_sweep(job(tmp_path, TRAIN))
    assert [each.value for each in finished(study)] == [2.0, 3.0]


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_what_kills_its_workers_is_given_up_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it was once stopped in good order."""
    monkeypatch.setattr("rl2_sb3.sweeps.study.play", Played(lambda _: KeyboardInterrupt()))
    plan = job(tmp_path, TRAIN)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(plan)
    asked = [number_of(open_study(plan.sweep, Storage(plan.storage)).ask()) for _ in range(10)]
    assert asked == [0] * (ATTEMPTS - 1) + [1]
    monkeypatch.setattr("rl2_sb3.sweeps.study.play", Played())
    study = run_sweep(plan)
    (failed,) = failures(study)
    assert failure(failed.attempt) == "its worker died, at the last of 10 attempts"
    assert len(finished(study)) == study.total == 2
    write_points(study, tmp_path / "points.csv")
    table = (tmp_path / "points.csv").read_text()
    assert "failed" in table
    assert "complete" in table


def test_a_search_plays_the_same_values_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Played()
    monkeypatch.setattr("rl2_sb3.sweeps.study.play", played)
    study = run_sweep(job(tmp_path, TRAIN.replace("grid", "random"), points=6))
    assert len(played.words) == 2
    assert len(study.trials) == 6
    assert sum("same_as" in each.user_attrs for each in study.trials) == 4
    assert best_points(study)[0].point["hidden_size"] == 3


@pytest.mark.parametrize(("method", "points", "total"), [("grid", 2, 1), ("random", 2, 1)])
def test_a_run_cap_holds_with_fewer_points(
    method: str, points: int, total: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Played()
    monkeypatch.setattr("rl2_sb3.sweeps.study.play", played)
    text = TRAIN.replace("grid", method) + "run_cap: 1\n"
    assert run_sweep(job(tmp_path, text, points)).total == total
    assert len(played.words) == total


def test_a_configuration_that_lost_seeds_is_not_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverges(words: list[str]) -> Exception | None:
        lost = "--hidden_size=3" in words and "--seed=1" in words
        return Failed("diverged") if lost else None

    monkeypatch.setattr("rl2_sb3.sweeps.study.play", Played(diverges))
    study = run_sweep(job(tmp_path, TRAIN + "  seed: {values: [0, 1]}\n"))
    assert len(failures(study)) == 1
    (best,) = best_points(study)
    assert (best.point["hidden_size"], best.value, best.seeds) == (2, 2.0, 2)


def test_a_dead_worker_is_no_fault_of_a_baselines_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dying(Workers):
        def submit(self, *_: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_exception(BrokenProcessPool("died"))
            return future

    with Dying(2) as workers, pytest.raises(BrokenProcessPool):
        run_sweep(job(tmp_path, GRID), workers)
    monkeypatch.setattr("rl2_sb3.sweeps.points.score", lambda *_: Score(1.0, 0.1))
    study = run_sweep(job(tmp_path, GRID))
    assert len(finished(study)) == 4
    assert not failures(study)
