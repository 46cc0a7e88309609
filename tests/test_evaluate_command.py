"""``rl2 evaluate``: trained agents and baselines on both sides."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table

from rl2_sb3 import RL2PPO, make_trials
from rl2_sb3.cli import main
from rl2_sb3.cli.evaluation_tables import COMPARED, SUMMARY
from rl2_sb3.cli.screen import show
from rl2_sb3.registry import AGENTS


def rl2(*args: str) -> None:
    main(["evaluate", *args])


def rows(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def save(path: str, arms: int = 3, **info: Any) -> None:
    trials = make_trials("bandit", 4, episodes=5, arms=arms)
    model = RL2PPO("GRUPolicy", trials, policy_kwargs={"hidden_size": 4})
    options = {"arms": arms, "alpha": 1.0, "beta": 1.0}
    model.save_agent(path, task="bandit", options=options, episodes=5, steps=60, **info)


@pytest.fixture(autouse=True)
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run, a file and an installed agent."""
    monkeypatch.chdir(tmp_path)
    save("runs/one/agent.safetensors")
    save("two.safetensors", teacher="gittins")
    save("installed/agent.safetensors", privileged=True)
    monkeypatch.setattr(AGENTS, "names", lambda: ["installed-agent"])
    monkeypatch.setattr(AGENTS, "load", lambda _: Path("installed/agent.safetensors"))


def test_trained_agents_play_beside_one_another() -> None:
    """The same weights meet the same tasks and noise; each row says how its agent was trained."""
    against = ["runs/one", "two.safetensors", "installed-agent", "ucb1(c=0.2)"]
    rl2("runs/one", "--against", *against, "--trials", "100")
    table = rows("runs/one/evaluation.csv")
    assert [row["agent"] for row in table] == ["RL2", *against]
    assert [row["training"] for row in table] == [
        *("RL from scratch", "RL from scratch", "imitation", "privileged RL", "baseline"),
    ]
    assert [row["compared_with"] for row in table] == ["", *4 * ["RL2"]]
    assert [row["steps_trained"] for row in table] == [*4 * ["60"], ""]
    assert table[0]["mean"] == table[1]["mean"]
    assert (table[0]["p"], table[1]["difference"], table[1]["p"]) == ("", "0", "1")
    difference = float(table[4]["mean"]) - float(table[0]["mean"])
    assert float(table[4]["difference"]) == pytest.approx(difference, abs=1e-3)
    assert 0 < float(table[4]["p"]) < 1


@pytest.mark.parametrize("columns", ["20", "80"])
def test_names_are_not_broken_however_narrow_the_screen(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    name = "thompson(samples=3, optimism='none-of-it-at-all-in-any-arm-of-the-ten')"
    table = Table("agent", "mean")
    table.add_row(name, "0.123")
    show(table)
    assert [line.split("│")[1].strip() for line in capsys.readouterr().out.splitlines()[3:4]] == [
        name
    ]
    long = "runs/a-folder-with-a-name-that-is-longer-than-any-line-of-a-narrow-screen-is"
    save(f"{long}/agent.safetensors")
    rl2(long, "--against", "random", "two.safetensors", "--trials", "20")
    printed = capsys.readouterr().out
    assert re.search(r"two\.safetensors +│ +\d", printed)


def test_baselines_play_alone() -> None:
    play = ["--task", "bandit", "--options", "arms=2", "--episodes", "4", "--trials", "50"]
    rl2("ucb1(c=0.2)", "--against", "random", *play)
    first, second = rows("runs/baselines/ucb1/evaluation.csv")
    assert (first["agent"], second["agent"]) == ("ucb1(c=0.2)", "random")
    assert (first["options"], first["episodes"]) == ("arms=2 alpha=1.0 beta=1.0", "4")
    with pytest.raises(SystemExit, match="name it, as in --task bandit --episodes 10"):
        rl2("random")


def test_a_baseline_may_come_first() -> None:
    """What the first trained agent was trained for is played."""
    rl2("random", "--against", "two.safetensors", "--trials", "20")
    first, second = rows("runs/baselines/random/evaluation.csv")
    assert (first["options"], first["episodes"]) == ("arms=3 alpha=1.0 beta=1.0", "5")
    assert second["compared_with"] == "random"


def test_rows_stay_until_they_are_played_again_or_overwritten() -> None:
    for words in (["--seed", "1"], ["--seed", "2"], ["--seed", "2", "--against", "random"]):
        rl2("runs/one", "--trials", "20", *words)
    table = rows("runs/one/evaluation.csv")
    told = [(row["agent"], row["seed"]) for row in table]
    assert told == [("RL2", "1"), ("RL2", "2"), ("random", "2")]
    rl2("runs/one", "--trials", "20", "--seed", "3", "--overwrite")
    (row,) = rows("runs/one/evaluation.csv")
    assert row["seed"] == "3"


def test_tables_written_before_agents_were_compared_are_gone_on_with() -> None:
    rl2("runs/one", "--trials", "20", "--name", "mine", "--append-to", "table.csv")
    (row,) = rows("table.csv")
    old = [name for name in SUMMARY if name not in COMPARED]
    Path("table.csv").write_text(f"{','.join(old)}\n{','.join(repr(row[o]) for o in old)}\n")
    Path("runs/one/evaluation.csv").write_text(Path("table.csv").read_text())
    rl2("runs/one", "--trials", "20", "--name", "other", "--append-to", "table.csv")
    for table in ("table.csv", "runs/one/evaluation.csv"):
        first, second = rows(table)
        assert (first["agent"], second["agent"]) == ("'mine'", "other")
        assert (first["training"], second["training"]) == ("", "RL from scratch")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--against", "random", "random"], "Two agents would be called 'random'"),
        (["--against", "installed-agnt"], "Did you mean 'installed-agent'"),
        (["--against", "runs/none"], "no run or agent's file 'runs/none'"),
        (["--against", "four"], r"four.safetensors was trained with the .*action Discrete\(4\)"),
        (["--task", "tabular-mdp"], r"runs/one was trained with the action Discrete\(3\)"),
    ],
)
def test_errors_give_the_way_out(args: list[str], message: str) -> None:
    save("four.safetensors", arms=4)
    args = ["four.safetensors" if arg == "four" else arg for arg in args]
    with pytest.raises(SystemExit, match=message):
        rl2("runs/one", *args, "--trials", "2")
    assert not Path("runs/one/evaluation.csv").exists()
