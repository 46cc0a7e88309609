"""Jobs, the cache, and the rows that they make."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rl2_paper.cache import Played, cache_file, play, read_played
from rl2_paper.comparison import pull_bins, table_rows
from rl2_paper.definitions import Cell
from rl2_paper.jobs import Job, find_jobs, tuned_parameters
from rl2_paper.table1.benchmark import best_found, gap_rows
from rl2_paper.table1.lineup import TABLE1

from rl2_sb3 import BernoulliBandit
from rl2_sb3.evaluation import Evaluation, trial_tasks

SMALL = Cell(5, 10)


def job(name: str, cell: Cell = SMALL, **changes: Any) -> Job:
    entry = next(each for each in TABLE1.lineup if each.name == name)
    options = tuple(TABLE1.options_of(cell).items())
    one = Job(entry, cell, entry.spec, None, 50, 0, TABLE1.task, options)
    return one._replace(**changes)


def play_job(one: Job, cache: Path) -> Played | None:
    play(one, cache)
    return read_played(one, cache)


def test_a_job_is_kept_apart_from_others(tmp_path: Path) -> None:
    agents = [tmp_path / name for name in ("a", "b")]
    for file in agents:
        file.write_text(file.name)
    one = job("ucb1")
    others = [
        *(one._replace(spec="ucb1(c=0.3)"), one._replace(trials=51), one._replace(seed=1)),
        *(one._replace(cell=Cell(10, 10)), *(one._replace(file=file) for file in agents)),
        *(one._replace(options=(("arms", 5), ("alpha", alpha))) for alpha in (2.0, 3.0)),
    ]
    assert len({cache_file(each, tmp_path) for each in (one, *others)}) == 1 + len(others)


def test_the_tables_options_are_played(tmp_path: Path) -> None:
    """Arms of which most pay nearly always."""
    rich = replace(TABLE1, options={"alpha": 20.0, "beta": 1.0})
    (each,), _ = find_jobs(rich, ["k5-n500"], ["random"], 50, 0, tmp_path)
    assert each.tasks() == BernoulliBandit(5, 20.0, 1.0)
    played = play_job(each, tmp_path)
    assert played is not None
    assert 0.9 < played.result.returns.mean() < 1
    assert {row["gap_from"] for row in gap_rows(each, played)} <= {0, 0.01, 0.05, 0.1}


def test_parameters_are_the_best_of_a_whole_sweep(tmp_path: Path) -> None:
    head = "agent,arms,episodes,method,gamma,mean,standard_error,trials\n"
    (tmp_path / "gittins-best.csv").write_text(
        f"{head}gittins,5,10,calibration,0.99,10.5,1,1000\ngittins,5,100,whittle,0.9,11.5,1,1000\n"
    )
    point = {"arms": 5, "episodes": 10}
    best = tuned_parameters(tmp_path, "gittins", point)
    assert best == {"method": "calibration", "gamma": 0.99}
    hint = r"0 rows with arms=50, episodes=10.* Run `rl2 sweep sweeps/gittins.yaml` to its end"
    with pytest.raises(ValueError, match=hint):
        tuned_parameters(tmp_path, "gittins", {**point, "arms": 50})
    with pytest.raises(ValueError, match="2 rows with arms=5, not one"):
        tuned_parameters(tmp_path, "gittins", {"arms": 5})
    (tmp_path / "ucb1.csv").write_text("agent,arms,episodes,c,mean\nucb1,5,10,0.1,6\n")  # half
    with pytest.raises(ValueError, match=r"ucb1-best.csv is missing.*rl2 sweep sweeps/ucb1.yaml"):
        tuned_parameters(tmp_path, "ucb1", point)


def test_misspelt_names_get_the_nearest(tmp_path: Path) -> None:
    for cells, agents, message in (
        (["k5-n1"], ["random"], "No cell 'k5-n1'. Did you mean 'k5-n10'"),
        (["k5-n10"], ["ucb2"], "No agent 'ucb2'. Did you mean 'ucb1'"),
    ):
        with pytest.raises(ValueError, match=message):
            find_jobs(TABLE1, cells, agents, 10, 0, tmp_path)


def test_pulls_are_counted_in_the_tasks_that_were_played(tmp_path: Path) -> None:
    """Arms' means, pulls and returns go together: the best arms are pulled, and pay."""
    played = play_job(each := job("gittins-finite-horizon"), tmp_path)
    assert played is not None
    assert played.pulls is not None
    assert (played.pulls.sum(axis=1) == 10).all()
    (means,) = trial_tasks(BernoulliBandit(), each.trials, each.seed)
    np.testing.assert_array_equal(played.result.optimal, means.max(axis=1))
    expected = (played.pulls * means).sum(axis=1)
    assert np.corrcoef(expected, played.result.trial_returns)[0, 1] > 0.7


def test_nobody_is_compared_with_the_optimum() -> None:
    def played(*returns: float) -> Played:
        result = Evaluation(
            np.array(returns)[:, None],
            np.ones((3, 1), np.int64),
            np.full((3, 1), np.nan),
            np.full(3, 9.0),
        )
        return Played(result, np.ones((3, 5), np.int16), None, {}, "v")

    jobs = {
        job("bayes-optimum"): played(9, 9, 9),
        job("ucb1"): played(4, 5, 6),
        job("random"): played(1, 3, 5),
    }
    first, ucb1, random = table_rows(jobs, TABLE1.reference)
    assert (first["against"], ucb1["against"], random["against"]) == ("", "ucb1", "ucb1")
    assert (random["behind"], random["behind_standard_error"]) == ("2", "0.5774")
    assert (random["regret"], random["regret_standard_error"]) == ("6", "1.155")
    assert random["ahead"] == ""
    jobs[job("gittins-finite-horizon")] = played(4, 4, 7)
    assert [row["ahead"] for row in table_rows(jobs, TABLE1.reference)] == ["4", "0", "-2", "0"]


def test_best_arm_found() -> None:
    means = np.array([[0.2, 0.9, 0.5], [0.7, 0.1, 0.72], [0.3, 0.2, 0.1]])
    pulls = np.array([[1, 8, 1], [5, 4, 1], [4, 4, 2]])
    found, gap = best_found(means, pulls)
    np.testing.assert_allclose(found, [1, 0, 0.5])
    np.testing.assert_allclose(gap, [0.4, 0.02, 0.1])


def test_bins_of_pulls() -> None:
    assert pull_bins(10) == list(range(11))
    edges = pull_bins(500)
    widths = np.diff(edges)
    assert (edges[0], edges[1], edges[-1]) == (0, 1, 500)
    assert len(widths) <= 60
    assert (widths > 0).all()
    assert widths[-1] < 60
