"""What agents try in bandits: ``python -m rl2_paper.table1.explored``."""

from typing import Any

import numpy as np
import pytest
from rl2_paper.table1.explored import explorations, main

from rl2_sb3.baselines.base import make_baseline
from rl2_sb3.baselines.random import RandomActions
from rl2_sb3.tasks import BernoulliBandit


def test_at_random_with_two_arms() -> None:
    """Arms tried: 2 - 2 / 2^k after k pulls. The second pull: the known arm is at 1/3 or 2/3.

    The other arm, at 1/2, costs 1/6 after a success, as the known one does after a failure: half
    of the pulls cost 1/6.
    """
    tasks = BernoulliBandit(arms=2)
    found = explorations(RandomActions.for_tasks(tasks, 3), tasks, 3, 6000, seed=0)
    assert found.tried == pytest.approx([1, 1.5, 1.75], abs=0.03)
    assert found.cost[:2] == pytest.approx([0, 1 / 12], abs=0.004)


def test_who_is_greedy_pays_nothing_and_tries_less() -> None:
    tasks = BernoulliBandit(arms=5)
    greedy, curious = (
        explorations(make_baseline(name, tasks, 30), tasks, 30, 1000, seed=0)
        for name in ("greedy", "gittins(method='finite-horizon')")
    )
    np.testing.assert_allclose(greedy.cost, 0, atol=1e-12)
    assert curious.cost.max() > 0.01
    assert curious.cost[-1] == 0  # nothing is left to learn for
    assert curious.tried[-1] > greedy.tried[-1] + 0.3


def test_command(capsys: Any) -> None:
    main(["random", "ucb1(c=0.2)", "--arms", "3", "--pulls", "10", "--trials", "50"])
    head, *rows = capsys.readouterr().out.splitlines()
    assert head == "agent, " + ", ".join(f"pull {n}: arms tried, cost" for n in (5, 10))
    assert [row.partition(", ")[0] for row in rows] == ["random", "ucb1(c=0.2)"]
    assert all(len(row.split(", ")) == 5 for row in rows)
