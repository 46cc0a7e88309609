"""BEB that plans at each step, with a bonus that fades."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest

from rl2_sb3.baselines.base import make_baseline
from rl2_sb3.baselines.mdps import BEB, ReplanningBEB
from rl2_sb3.evaluation import evaluate_trials
from rl2_sb3.tasks.mdps import TabularMDP
from rl2_sb3.tasks.planning import backward_induction
from tests.baselines.test_mdps import RESULTS, SMALL, after, first


def test_by_hand() -> None:
    """One state, two actions, prior N(1, 1), two steps in each of two episodes, scaling 1.

    At first each action is worth 1 a step, and the bonus log 2 / (1 + 1). A reward of 0 makes the
    mean 1/2 and the precision 2, at once: the other action is then better. In the second and last
    episode there is no bonus.
    """
    agent = ReplanningBEB(tasks=TabularMDP(states=1, actions=2, horizon=2), episodes=2, scaling=1.0)
    probabilities, memory = agent.action_probabilities(first(1))
    fresh, tried = 1 + math.log(2) / 2, 0.5 + math.log(2) / 3
    assert memory.values[0, :, 0] == pytest.approx(np.array([[2 * fresh] * 2, [fresh] * 2]))
    assert probabilities.tolist() == [[0.5, 0.5]]
    probabilities, memory = agent.action_probabilities(after([1], [0.0], [0]), memory)
    assert memory.values[0, 1, 0] == pytest.approx([fresh, tried])
    assert probabilities.tolist() == [[1, 0]]
    _, memory = agent.action_probabilities(after([0], [1.0], [0], done=True), memory)
    assert memory.values[0, :, 0] == pytest.approx(np.array([[2, 1.5], [1, 0.5]]))


def test_it_plans_for_each_trial_by_its_own_step() -> None:
    """A trial that began later is at another step, and plans as it would alone."""
    agent = ReplanningBEB(tasks=SMALL, episodes=3)
    _, alone = agent.predict(first(1))
    _, memory = agent.predict(first(2))
    _, memory = agent.predict(after([1, 1], [2.0, 2.0], [1, 1]), memory)
    later = after([0, 0], [1.0, 1.0], [2, 0])
    later["start"][1] = 1
    _, memory = agent.predict(later, memory)
    assert memory.step.tolist() == [2, 0]
    assert memory.values[1] == pytest.approx(alone.values[0])
    posterior = agent.posterior(memory)
    rewards, transitions = posterior.mean_mdp()
    bonus = 0.7 * math.log(3) / (1 + posterior.precision)
    whole = backward_induction(rewards + bonus, transitions, SMALL.horizon)
    assert memory.values[0, 2:] == pytest.approx(whole[0, 2:])


def test_without_a_bonus_it_uses_what_greedy_learns_an_episode_later() -> None:
    tasks = TabularMDP()
    means = {
        spec: evaluate_trials(make_baseline(spec, tasks, 3), tasks, 2000, 1, 3).mean
        for spec in ("greedy-mdp", "beb-replanning(scaling=0.0)")
    }
    assert means["beb-replanning(scaling=0.0)"] > means["greedy-mdp"] + 1


@pytest.mark.parametrize(("episodes", "trials", "ahead"), [(10, 1000, 4), (25, 400, 6)])
def test_it_earns_more_than_beb(episodes: int, trials: int, ahead: float) -> None:
    """In ten episodes 6.2, in 25 11.4 more (BEB at its best scaling)."""
    tasks = TabularMDP()
    best = evaluate_trials(BEB(tasks=tasks, scaling=0.0002512), tasks, trials, 1, episodes)
    replanned = evaluate_trials(
        ReplanningBEB(tasks=tasks, episodes=episodes), tasks, trials, 1, episodes
    )
    assert replanned.mean > best.mean + ahead


@pytest.mark.parametrize("prior", ["true", "paper"])
def test_the_default_scaling_loses_least_where_it_loses_most(prior: str) -> None:
    """Of the sweep's: the share of each length's best return, in the length where it is least."""
    with (RESULTS / "sweeps" / "beb-replanning.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["prior"] == prior]
    best = {
        n: max(float(row["mean"]) for row in rows if row["episodes"] == n)
        for n in ("10", "25", "50", "75", "100")
    }
    worst: dict[float, float] = {}
    for row in rows:
        scaling, share = float(row["scaling"]), float(row["mean"]) / best[row["episodes"]]
        worst[scaling] = min(share, worst.get(scaling, 1))
    assert ReplanningBEB.scalings[prior] == max(worst, key=lambda scaling: worst[scaling])


def test_it_refuses_what_it_cannot_plan_with() -> None:
    with pytest.raises(ValueError, match="episodes=0: one or more"):
        ReplanningBEB(tasks=SMALL, episodes=0)
    with pytest.raises(ValueError, match="scaling=-1 is negative"):
        ReplanningBEB(tasks=SMALL, episodes=2, scaling=-1)
    with pytest.raises(ValueError, match="episodes are those that it plays, leave them out"):
        make_baseline("beb-replanning(episodes=3)", SMALL, 3)
    with pytest.raises(ValueError, match="no parameter 'bonus', only") as told:
        make_baseline("beb-replanning(bonus=1.0)", SMALL, 3)
    assert "episodes" not in str(told.value)
