import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rl2_vizdoom")

from rl2_paper.table3 import benchmark
from rl2_paper.table3.lineup import TABLE3
from rl2_paper.table3.report import read_successes
from rl2_vizdoom.tasks import VizdoomMaze

from rl2_sb3 import RL2PPO, evaluate_trials, load_agent, make_trials
from rl2_sb3.cli import main
from rl2_sb3.registry import AGENTS, TASKS

SHORT = {"horizon": 20, "frame_skip": 12}


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short episodes, and one trained agent."""
    monkeypatch.chdir(tmp_path)
    short = replace(TABLE3, options={**TABLE3.options, **SHORT})
    monkeypatch.setattr(benchmark, "TABLE3", short)
    env = make_trials("raycast-maze", n_envs=2, episodes=2, privileged=True)
    model = RL2PPO("CnnGRUPolicy", env, policy_kwargs={"hidden_size": 4})
    model.save_agent("agent.safetensors", task="vizdoom-maze", episodes=2, steps=9, seconds=60)
    model.save_agent("rays.safetensors", task="raycast-maze", episodes=2)
    files = {"maze-small-privileged": Path("agent.safetensors").resolve()}
    monkeypatch.setattr(AGENTS, "names", lambda: list(files))
    monkeypatch.setattr(AGENTS, "load", lambda name: files[name])


def rows(name: str) -> list[dict[str, str]]:
    with Path(f"results/{name}.csv").open() as file:
        return list(csv.DictReader(file))


def table3(*args: str) -> None:
    main(["benchmark", "table3", "--trials", "3", *args])


@pytest.mark.usefixtures("workplace")
def test_agents_and_references_play_the_test_mazes(
    capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    table3("--cells", "small")
    assert "): maze-small, maze-small-imitation, " in capsys.readouterr().out  # not installed
    told = [(row["agent"], row["episodes"], row["episode"]) for row in rows("table3-successes")]
    trained = [("rl2-privileged", "5", str(episode)) for episode in range(1, 6)]
    assert told == [("random", "1", "1"), *trained, ("plan", "1", "1")]
    options = "size=small split=test mazes=1000 horizon=20 movement=engine frame_skip=12"
    assert {row["options"] for row in rows("table3-successes")} == {options}
    (row,) = rows("table3")
    assert (row["options"], row["trials"], row["steps_trained"]) == (options, "3", "9")
    tasks = VizdoomMaze(split="test", horizon=20, frame_skip=12)
    agent = load_agent("agent.safetensors")
    result = evaluate_trials(agent, tasks, 3, seed=0, episodes=5, workers="threads")
    assert float(row["mean"]) == pytest.approx(result.mean, rel=1e-5)
    successes = [float(row["success"]) for row in rows("table3-successes")[1:6]]
    assert successes == pytest.approx(list(result.success_rates), abs=1e-3)
    before = rows("table3"), rows("table3-successes")
    monkeypatch.setattr(benchmark, "evaluate_trials", None)  # whoever plays now fails
    table3("--cells", "small")
    assert (rows("table3"), rows("table3-successes")) == before
    assert read_successes(Path("results/table3-successes.csv"))["small"].keys() >= {"snail"}


@pytest.mark.usefixtures("workplace")
def test_agents_of_another_task_or_training_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"maze-small": "agent", "maze-small-privileged": "rays"}
    monkeypatch.setattr(AGENTS, "names", lambda: list(files))
    monkeypatch.setattr(AGENTS, "load", lambda name: Path(f"{files[name]}.safetensors"))
    with pytest.raises(SystemExit, match="'maze-small' tells of privileged RL, where rl2 is RL f"):
        table3("--cells", "small", "--agents", "rl2")
    with pytest.raises(SystemExit, match="was trained on raycast-maze, not on vizdoom-maze"):
        table3("--cells", "small", "--agents", "rl2-privileged")
    monkeypatch.setattr(TASKS, "names", list)
    with pytest.raises(SystemExit, match=r"mazes are missing: pip install .* plugins/rl2-vizdoom"):
        table3()
