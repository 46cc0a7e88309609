"""How much agents try out."""

from typing import Any

import pytest
from rl2_paper.table2.tried import main, tried

from rl2_sb3.baselines.random import RandomActions
from rl2_sb3.tasks import TabularMDP


def test_at_random_in_one_state() -> None:
    """Of two actions, k pulls at random try 2 - 2 / 2^k."""
    tasks = TabularMDP(states=1, actions=2, horizon=1)
    found = tried(RandomActions.for_tasks(tasks, 4), tasks, 4, 4000, seed=0)
    assert found == pytest.approx([1, 1.5, 1.75, 1.875], abs=0.03)


def test_command(capsys: Any) -> None:
    main(["random", "beb(prior='true')", "--episodes", "3", "--trials", "20"])
    head, random, beb = capsys.readouterr().out.splitlines()
    assert head == "agent, episode 1, episode 2, episode 3"
    at_random, by_beb = (float(row.rsplit(", ", 1)[1]) for row in (random, beb))
    assert 30 > at_random > by_beb > 15  # who exploits comes back to what it knows
