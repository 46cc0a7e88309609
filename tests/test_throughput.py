from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import reference
from benchmarks.parts import BACKWARD, FORWARD, PARTS, Parts
from benchmarks.rows import FAMILIES, ROWS, A, B, C, Case, Figure, Rounds, cases_for
from benchmarks.settings import SETTINGS
from benchmarks.tables import Origin, document, records
from benchmarks.worker import ROOT, Server, Worker
from benchmarks.workloads import make_model

TINY = SETTINGS["demo"]._replace(columns=8, minibatch=4, rollouts=2)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes that take no time."""
    small = {"hidden_size": 8}
    for name, trials in (("shared-256", 8), ("trpo", 8), ("mdp", 4), ("imitation", 4)):
        setting = SETTINGS[name]
        sizes: dict[str, Any] = {"columns": trials, "minibatch": trials // 2}
        sizes["network"] = setting.network | small
        if name == "imitation":
            sizes |= {"episodes": 20, "n_steps": 20}
        monkeypatch.setitem(SETTINGS, name, setting._replace(**sizes))
    monkeypatch.setitem(SETTINGS, "demo", TINY)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("workload", ["shared-256", "demo", "trpo", "mdp", "imitation"])
def test_a_round_has_its_steps_and_parts(workload: str) -> None:
    server, setting = Server("cpu", "cpu"), SETTINGS[workload]
    for _ in range(2):
        timed = server.answer("round", workload)
        rollouts = 4 if workload == "imitation" else setting.rollouts
        assert timed["steps"] == rollouts * setting.columns * setting.n_steps
        assert min(timed["collecting"], timed["training"]) > 0
        assert timed["collecting"] + timed["training"] <= timed["both"] + 1e-9
    [made] = server.made.values()
    assert made.model.policy.config.precision == "fp32"


@pytest.mark.usefixtures("tiny")
def test_the_first_round_alone_has_one_epoch() -> None:
    server = Server("cpu", "wall")
    server.answer("round", "demo")
    [made] = server.made.values()
    assert made.model.n_epochs == TINY.learning["n_epochs"] == 5
    before = made.model._n_updates
    made.round()
    assert made.model._n_updates - before == 5 * TINY.rollouts


def test_the_parts_make_up_the_whole() -> None:
    """The clock ticks when it is read, so each part has as many seconds as it was noted."""
    model = make_model(TINY._replace(network={"hidden_size": 8, "shared": True}), "bf16", "cpu")
    ticks = iter(range(10**9))
    parts = Parts(model, lambda: float(next(ticks)))
    first, seconds = parts.round(), parts.round()
    assert sum(first.values()) + sum(seconds.values()) == next(ticks) - 2
    assert list(seconds) == list(PARTS)
    assert all(seconds.values())
    minibatches = TINY.learning["n_epochs"] * TINY.columns // TINY.minibatch
    assert seconds[FORWARD] == seconds[BACKWARD] == minibatches


def test_a_worker_answers_and_goes_on_after_an_error() -> None:
    worker = Worker(ROOT, threads=1)
    with pytest.raises(RuntimeError, match="KeyError: 'nothing'"):
        worker.ask("round", "nothing")
    assert worker.ask("product")["flops"] > 0
    worker._process.kill()
    with pytest.raises(RuntimeError, match="ended with status -9"):
        worker.ask("product")
    worker.close()


def test_a_worker_that_would_measure_other_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="but Python imports"):
        Worker(tmp_path, threads=1)


def test_an_earlier_commit_is_installed_once_and_imported(tmp_path: Path) -> None:
    commit = reference.resolve("c0b4d92")
    if commit is None:
        pytest.skip("the history here does not have it")
    folder = reference.install(commit, tmp_path)
    assert list(tmp_path.iterdir()) == [folder]
    assert reference.install(commit, tmp_path) == folder
    assert (folder / "rl2_vizdoom").is_dir()
    worker = Worker(folder, threads=1)  # refuses to run other code
    assert worker.ask("product", precision="bf16")["flops"] > 0
    worker.close()


def test_no_history_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    assert reference.resolve("c0b4d92") is None


def test_a_ratio_is_the_median_over_rounds() -> None:
    rounds = Rounds(threads=1)
    rounds.of(A).extend({"steps": 100.0, "both": each} for each in (1.0, 4.0, 2.0))
    rounds.of(C).extend({"steps": 50.0, "both": each} for each in (1.0, 1.0, 4.0))
    assert rounds.speed(A) == Figure(50, 25, 100)
    assert rounds.ratio(A, C) == Figure(2, 0.5, 4)
    assert rounds.of(A._replace(threads=1)) is rounds.of(A)
    assert rounds.speed(B) is None
    assert rounds.ratio(B, C) is None
    rounds.parts = [{"x": 1.0, "y": 3.0}, {"x": 3.0, "y": 3.0}]
    assert rounds.percent() == {"x": Figure(40, 25, 50), "y": Figure(60, 50, 75)}
    np.testing.assert_allclose(sum(each.value for each in rounds.percent().values()), 100)


def test_tables_have_the_rows_that_were_measured() -> None:
    rounds, origin = Rounds(threads=1), Origin("a machine", {"present": "new"}, 1)
    for case in (A, C):
        timed = {"steps": 1e3, "collecting": 0.25, "training": 0.25, "both": 0.5}
        rounds.of(case).append(timed)
    text = document(rounds, ["a", "b"], origin)
    assert "| fp32 | 2 000 | (c) | 2 000 | 1.00 | 1.00 – 1.00 | 3 | 4 |" in text
    assert "(b)" not in text
    assert "commit new" in text
    lines = list(records(rounds, ["a"], origin))
    assert lines[0] == [
        *("shared-256", "collecting", "4000", "4000", "4000", "steps/s", "fp32"),
        *("a machine", "new", 1),
    ]
    assert lines[-1][:3] == ["a", "both, ratio to (c)", "1"]


def test_rows_compare_what_is_known() -> None:
    workloads = {*SETTINGS, "recurrent-ppo", "recurrent-ppo-defaults"}
    assert {workload for family in FAMILIES for workload in family} == workloads
    assert {case.workload for row in ROWS for case in (row.case, row.against)} <= workloads
    demo = [Case("demo", "fp32"), Case("demo", "fp32", "reference"), Case("demo", "bf16")]
    assert cases_for(["demo"]) == demo
