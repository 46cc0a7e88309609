"""Sweeps that workers share on a real PostgreSQL server."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from rl2_sb3.cli import main
from rl2_sb3.sweeps import Job, Score, Workers, load_sweep, run_sweep
from rl2_sb3.sweeps.claims import ERROR, NUMBER, open_study
from rl2_sb3.sweeps.storage import Storage
from tests.sweeps.files import GRID, sweep_file
from tests.sweeps.postgresql import PASSWORD, programs, server
from tests.sweeps.test_runs import TRAIN, rows

pytestmark = pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with server() as address:
        yield address


def done(attempts: list[FrozenTrial]) -> Counter[int]:
    states = (TrialState.COMPLETE, TrialState.PRUNED)
    return Counter(each.user_attrs[NUMBER] for each in attempts if each.state in states)


@pytest.mark.timeout(900)
def test_a_killed_worker_s_configuration_is_run_by_another(database: str, tmp_path: Path) -> None:
    """Two workers share a sweep of training; one is killed; each configuration is run once."""
    text = TRAIN.replace("name: tiny", "name: killed").replace("value: 40}", "value: 2000}")
    file = sweep_file(tmp_path, text.replace("[2, 3]", "[2, 3, 4]"))
    sweep, out = load_sweep(file), tmp_path / "out"
    words = [sys.executable, "-m", "rl2_sb3", "sweep", str(file), "--storage", database]
    words += ["--workers", "1", "--heartbeat", "2", "--out", str(out)]
    first, second = (subprocess.Popen(words) for _ in range(2))
    study = open_study(sweep, Storage(database))
    while len(study.get_trials(states=(TrialState.RUNNING,))) < 2:
        assert first.poll() is second.poll() is None
        time.sleep(0.2)
    os.kill(first.pid, signal.SIGKILL)
    assert second.wait() == 0
    first.wait()
    attempts = study.get_trials()
    assert done(attempts) == {0: 1, 1: 1, 2: 1}
    lost = [each for each in attempts if each.state == TrialState.FAIL]
    assert len(lost) == 1
    assert ERROR not in lost[0].user_attrs
    assert len(attempts) == 4
    table = rows(out / "killed.csv")
    assert [row["hidden_size"] for row in table] == ["2", "3", "4"]
    assert {row["state"] for row in table} == {"complete"}
    assert len(list((out / "runs").iterdir())) == 3


def test_processes_share_a_grid(database: str, tmp_path: Path) -> None:
    """An attempt whose worker died before its first sign of life is made again, too."""
    values = str([i / 10 for i in range(8)])
    text = GRID.replace("300", "3").replace("[0.1, 3.0]", values).replace("tiny", "grid")
    sweep = load_sweep(sweep_file(tmp_path, text))
    job = Job(sweep, database, tmp_path, heartbeat=1, progress=False)
    study = open_study(sweep, Storage(database))
    first = study.grid_params(0)
    orphan = create_trial(
        state=TrialState.RUNNING,
        params=first,
        distributions={name: study.distribution(name) for name in first},
        user_attrs={NUMBER: 0},
    )
    study.add_trial(orphan)
    with Workers(2) as workers:
        study = run_sweep(job, workers)
    attempts = study.get_trials()
    assert done(attempts) == dict.fromkeys(range(16), 1)
    assert [each.state for each in attempts].count(TrialState.FAIL) == 1
    assert len({(each.params["arms"], each.params["c"]) for each in attempts}) == 16


def test_another_sweep_of_this_name_is_refused(database: str, tmp_path: Path) -> None:
    text = GRID.replace("300", "3").replace("tiny", "other")
    run_sweep(Job(load_sweep(sweep_file(tmp_path, text)), database, tmp_path, progress=False))
    edited = load_sweep(sweep_file(tmp_path, text.replace("3.0]", "4.0]")))
    with pytest.raises(ValueError, match="has a study 'other' of another sweep") as raised:
        run_sweep(Job(edited, database, tmp_path, progress=False))
    assert PASSWORD not in str(raised.value)


def test_a_wrong_password_is_told_and_not_shown(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = database.replace(PASSWORD, "wr0ng-word")
    words = ["sweep", str(sweep_file(tmp_path)), "--out", str(tmp_path / "out"), "--workers", "1"]
    with pytest.raises(SystemExit, match="password authentication failed") as raised:
        main([*words, "--storage", wrong])
    said = str(raised.value) + "".join(capsys.readouterr())
    assert "wr0ng-word" not in said
    assert "PGPASSWORD" in said
    assert "\n" not in str(raised.value)


def test_a_database_that_goes_away_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        address = stack.enter_context(server())

        def played(*_: Any) -> Score:
            stack.close()
            return Score(1.0, 0.1)

        monkeypatch.setattr("rl2_sb3.sweeps.study.score", played)
        sweep = load_sweep(sweep_file(tmp_path))
        with pytest.raises(
            RuntimeError, match=r"cannot be used: .*Finished runs are kept"
        ) as raised:
            run_sweep(Job(sweep, address, tmp_path, progress=False))
    assert PASSWORD not in str(raised.value)
    assert "\n" not in str(raised.value)
