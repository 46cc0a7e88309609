"""How trained agents are listed, and what is said where there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rl2_sb3 import RL2PPO, load_agent, make_trials
from rl2_sb3.cli import main
from rl2_sb3.registry import AGENTS, HOW_TO_INSTALL

LONG = "bandit-k50-n100-imitation-rl"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The agents that are installed: none, but for what a test puts in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    files: dict[str, Path] = {}

    def load(name: str) -> Path:
        if name not in files:
            raise ValueError(f"No agent {name!r}.")
        return files[name]

    monkeypatch.setattr(AGENTS, "names", lambda: sorted(files))
    monkeypatch.setattr(AGENTS, "load", load)
    monkeypatch.setattr(AGENTS, "distribution", lambda name: "some-agents 1.0")
    return files


def test_the_list_fits_into_80_columns(files: dict[str, Path], capsys: Any) -> None:
    model = RL2PPO("GRUPolicy", make_trials("bandit", 2, 100, arms=50))
    history = [{"steps": 1, "seconds": 1.0, "teacher": "gittins(method='finite-horizon')"}]
    told = {"task": "bandit", "options": {"arms": 50, "alpha": 1.0}, "steps": 34_535_000}
    model.save_agent("a.safetensors", **told, history=history, privileged=True)
    model.save_agent("b.safetensors", **told, teacher="gittins", history=history)  # taught twice
    model.save_agent("c.safetensors", **told)
    many = {"arms": 50, "alpha": 0.125, "beta": 0.125}
    model.save_agent("d.safetensors", **{**told, "options": many}, privileged=True)
    files |= {name: Path(f"{name}.safetensors") for name in ("b", "c", "d", "lost")}
    files[LONG] = Path("a.safetensors")

    main(["agents"])

    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    assert lines[0].strip() == "some-agents 1.0"
    shown = [line.split() for line in lines]
    assert shown[1] == ["agent", "task", "episodes", "steps", "learned", "from"]
    assert ["b", "bandit", "arms=50", "100", "34,535,000", "gittins"] in shown
    assert ["c", "bandit", "arms=50", "100", "34,535,000", "reward"] in shown
    start = shown.index(["d", "bandit", "100", "34,535,000", "reward,"])
    assert shown[start + 1 : start + 4] == [
        ["arms=50", "privileged"],
        ["alpha=0.125"],
        ["beta=0.125"],
    ]
    start = shown.index([LONG, "bandit", "arms=50", "100", "34,535,000", "gittins,"])
    assert shown[start + 1 : start + 3] == [["then", "reward,"], ["privileged"]]
    assert lines[-1].startswith("lost: ")  # it stops none of the others


def test_where_there_are_none_it_is_said_how_to_get_some(
    files: dict[str, Path], capsys: Any
) -> None:
    main(["agents"])
    assert HOW_TO_INSTALL in capsys.readouterr().out
    with pytest.raises(ValueError, match=f"No agent 'bandit-k5-n10'.*`{HOW_TO_INSTALL}`"):
        load_agent("bandit-k5-n10")
    for path in ("runs/bandit-k5-n10", "bandit-k5-n10.safetensors"):
        with pytest.raises(ValueError, match="no run or agent's file") as raised:
            load_agent(path)
        assert HOW_TO_INSTALL not in str(raised.value)


@pytest.mark.usefixtures("files")
def test_a_baseline_is_no_trained_agent() -> None:
    with pytest.raises(ValueError, match="'thompson' is a baseline, not a trained agent"):
        load_agent("thompson")
    with pytest.raises(SystemExit, match="rl2 watch: 'thompson' is a baseline"):
        main(["watch", "thompson"])
