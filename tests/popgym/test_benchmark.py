"""The benchmark of memories on POPGym: what is there is not trained again."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rl2_popgym")

from benchmarks import popgym
from benchmarks.popgym import (
    AGENTS,
    ENVIRONMENTS,
    RECURRENT_PPO,
    POPGymBenchmark,
    Result,
    main,
    read,
    recurrent_ppo,
    rl2,
)
from rl2_sb3 import make_trials


def result(env: str, agent: str, seed: int, config: POPGymBenchmark) -> Result:
    """Of no training: the seed is the mean."""
    return Result(env, agent, seed, config.steps, config.trials, float(seed), 0.5, 12.0, "v")


@pytest.mark.parametrize("agent", ["linear", RECURRENT_PPO])
def test_an_agent_learns_and_plays(agent: str) -> None:
    config = POPGymBenchmark(steps=4096, trials=4)
    got = popgym.measure("RepeatPreviousEasy", agent, 0, config)
    assert got[:5] == ("RepeatPreviousEasy", agent, 0, 4096, 4)
    assert -1 <= got.mean <= 1
    assert got.cpu_seconds > 0


def test_what_is_there_is_not_trained_again(tmp_path: Path, monkeypatch: Any) -> None:
    asked = []

    def measure(*which: Any) -> Result:
        asked.append(which[:3])
        return result(*which)

    monkeypatch.setattr(popgym, "measure", measure)
    page = tmp_path / "README.md"
    page.write_text("Before.\n<!-- popgym -->\n<!-- /popgym -->\nAfter.\n")
    file = tmp_path / "results" / "memories.csv"
    main(POPGymBenchmark(csv=file, only="AutoencodeEasy lstm"))
    assert asked == [("AutoencodeEasy", "lstm", 0)]
    main(POPGymBenchmark(csv=file, seeds=2, readme=page))
    assert len(asked) == 2 * len(ENVIRONMENTS) * len(AGENTS)
    main(POPGymBenchmark(csv=file, seeds=2))
    assert len(asked) == len(set(asked)) == len(read(file))
    # The seeds' means are 0 and 1.
    line = "| `AutoencodeEasy` |" + 5 * " 0.500 ± 0.500 | 12 s |"
    assert line in page.read_text()
    assert "1 000 000 steps each, 2 seeds;" in page.read_text()


def test_the_table_is_of_the_steps_and_seeds_asked_for(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(popgym, "measure", result)
    page = tmp_path / "README.md"
    page.write_text("<!-- popgym -->\n<!-- /popgym -->\n")
    file = tmp_path / "memories.csv"
    main(POPGymBenchmark(csv=file, seeds=2, only="AutoencodeEasy"))
    main(POPGymBenchmark(csv=file, seeds=3, steps=10, only="AutoencodeEasy lstm"))
    assert sum(each.steps == 10 for each in read(file)) == 3
    main(POPGymBenchmark(csv=file, only="AutoencodeEasy", readme=page))
    assert "| `AutoencodeEasy` |" + 5 * " 0.000 ± 0.500 | 12 s |" in page.read_text()
    assert "1 000 000 steps each, 1 seed;" in page.read_text()


def test_both_algorithms_have_the_same_schedule() -> None:
    trials = make_trials("popgym", popgym.N_ENVS, episodes=1, seed=0)
    learns: list[Any] = [rl2("gru", trials, 0).learn, recurrent_ppo(trials, 0).learn]
    ours, theirs = (learn.__self__ for learn in learns)
    for left in (1.0, 0.5, 0.0):
        assert ours.lr_schedule(left) == pytest.approx(theirs.lr_schedule(left))
