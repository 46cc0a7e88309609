"""The distribution: its contract, its options, and that it is found by its name."""

import csv
import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rl2_vizdoom")

from rl2_vizdoom import VizdoomMaze
from rl2_vizdoom.__main__ import main
from rl2_vizdoom.env import MazeEnv

from rl2_sb3 import RL2PPO, check_tasks, make_trials
from rl2_sb3.registry import TASKS


@pytest.mark.parametrize("movement", ["engine", "exact"])
def test_contract(movement: Any) -> None:
    check_tasks(VizdoomMaze(horizon=40, movement=movement), episodes=2)


@pytest.mark.parametrize(
    ("options", "horizon"),
    [
        ({}, 250),
        ({"split": "test"}, 250),
        ({"size": "large"}, 250),
        ({"size": "large", "split": "test"}, 1000),
        ({"size": 5, "split": "test"}, 1000),
        ({"size": "large", "split": "test", "horizon": 7}, 7),
    ],
)
def test_the_horizon_is_the_papers(options: dict[str, Any], horizon: int) -> None:
    env = VizdoomMaze(mazes=3, **options).make_env()
    assert env.horizon == horizon
    assert len(env.mazes) == 3
    assert env.mazes[0].walls.shape == ((11, 11) if "size" in options else (7, 7))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": "tiny"}, "size='tiny': use small, large, or 2 or more"),
        ({"size": 1}, "size=1: use small, large"),
        ({"split": "validation"}, "split='validation': use one of train, test"),
        ({"movement": "slow"}, "movement='slow': use one of engine, exact"),
        ({"mazes": 0}, "mazes=0: at least 1"),
        ({"horizon": 0}, "horizon=0: at least 1"),
        ({"frame_skip": -1}, "frame_skip=-1: at least 1"),
        ({"size": 2, "mazes": 40}, "mazes=40: only"),
    ],
)
def test_bad_options_are_refused_at_once(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        VizdoomMaze(**options)


def test_tasks_are_uniform_numbers_of_mazes() -> None:
    tasks = VizdoomMaze(mazes=5)
    rng = np.random.default_rng(0)
    drawn = [tasks.sample(rng) for _ in range(500)]
    assert pickle.loads(pickle.dumps(drawn)) == drawn
    assert np.bincount(drawn, minlength=5).min() > 60
    assert set(drawn) == set(range(5))
    assert pickle.loads(pickle.dumps(tasks)) == tasks


def test_evaluation_goes_through_the_test_mazes() -> None:
    held_out = VizdoomMaze(mazes=5, size="large", frame_skip=2).held_out()
    assert held_out == VizdoomMaze(mazes=5, size="large", frame_skip=2, split="test")
    assert held_out.held_out() == held_out
    assert list(held_out.all_tasks()) == [0, 1, 2, 3, 4]
    assert held_out.make_env().horizon == 1000


def test_options_reach_the_environment() -> None:
    env = VizdoomMaze(movement="exact", frame_skip=2, mazes=2).make_env()
    env.reset(options={"task": 0})
    *_, reward, terminated, _, info = env.step(1)
    assert not terminated
    assert reward == pytest.approx(-0.02)
    assert info["position"][2] == pytest.approx(360 - 2 * 5.625, abs=1e-4)
    env.close()


def test_trials_are_made_by_name() -> None:
    trials = make_trials("vizdoom-maze", 2, episodes=2, seed=0, horizon=3, mazes=4)
    observation = trials.reset()
    assert isinstance(observation, dict)
    assert observation["observation"].shape == (2, 3, 30, 40) or (
        observation["observation"].shape == (2, 30, 40, 3)
    )
    dones = [trials.step(np.array([0, 1]))[2].tolist() for _ in range(6)]
    assert dones == [[False, False]] * 5 + [[True, True]]
    trials.close()


def test_an_engine_killed_in_training_costs_its_trial_alone() -> None:
    trials: Any = make_trials("vizdoom-maze", 2, episodes=1, seed=0, workers="threads", horizon=9)
    network = {"hidden_size": 4, "shared": True}
    model = RL2PPO("CnnGRUPolicy", trials, n_steps=20, n_epochs=1, policy_kwargs=network, seed=0)
    wrappers = trials.envs
    first = [0, 0]
    ended: list[tuple[int, int]] = []

    def watch(local: dict[str, Any], _: Any) -> bool:
        engine = wrappers[1].env._engine
        step = model.num_timesteps // 2
        if step == 1:
            first[:] = [wrapper.env._engine.pid for wrapper in wrappers]
        if step == 3:
            os.kill(engine.pid, signal.SIGKILL)
            with suppress(ChildProcessError):  # ViZDoom waits for it too, and may be first
                os.waitid(os.P_PID, engine.pid, os.WEXITED | os.WNOWAIT)
        for column in local["dones"].nonzero()[0]:
            lost = local["infos"][column]["TimeLimit.truncated"]
            ended.append((-step if lost else step, int(column)))
        return True

    try:
        model.learn(80, callback=watch)
        assert (-4, 1) in ended  # the step after
        assert sum(step < 0 for step, _ in ended) == 1
        assert sorted(step for step, column in ended if column == 0)[:2] == [9, 18]
        assert (13, 1) in ended  # it was begun anew, from its beginning
        assert wrappers[0].env._engine.pid == first[0]
        assert wrappers[1].env._engine.pid != first[1]
    finally:
        trials.close()


def test_the_references_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = "--plans 5 --random 3 --mazes 2 --horizon 100 --movement exact"
    monkeypatch.setattr(sys, "argv", ["rl2_vizdoom", *options.split()])
    main()
    plan, random = capsys.readouterr().out.splitlines()
    assert plan.startswith("plan: 2 mazes, ")
    assert plan.endswith(" steps, 100.0% reach the goal")
    assert random.startswith("random: 3 mazes, ")


def test_the_references_are_kept_beside_a_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = tmp_path / "table3.csv"
    options = f"--plans 2 --random 0 --mazes 2 --movement exact --append-to {table}"
    monkeypatch.setattr(sys, "argv", ["rl2_vizdoom", *options.split()])
    main()
    main()  # which takes the same row's place
    kept = tmp_path / "table3-successes.csv"
    (row,) = csv.DictReader(kept.open())
    assert row["options"].startswith("size=small split=test mazes=2 ")
    assert [row[key] for key in ("agent", "episode", "success", "trials")] == [
        "plan",
        "1",
        "1",
        "2",
    ]
    kept.write_text("another,table\n1,2\n")
    monkeypatch.setattr(VizdoomMaze, "make_env", pytest.fail)
    with pytest.raises(ValueError, match="lacks the columns task"):
        main()


def test_vizdoom_is_imported_with_the_first_environment() -> None:
    code = (
        "import sys; from rl2_sb3.registry import TASKS; tasks = TASKS.load('vizdoom-maze')();"
        "tasks.sample; print('vizdoom' in sys.modules); tasks.make_env();"
        "print('vizdoom' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
    assert TASKS.distribution("vizdoom-maze").startswith("rl2-vizdoom ")
    assert isinstance(VizdoomMaze().make_env(), MazeEnv)
