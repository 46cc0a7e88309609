"""Table 2: five settings of random tabular MDPs, and who plays in them."""

from rl2_paper.definitions import Cell, Entry, Group, ReturnsTable, trained_entries


def planners(group: Group, prior: str) -> list[Entry]:
    """The planning agents with one of the two priors."""
    names = {"psrl": False, "opsrl": True, "ucrl2": True, "beb": True, "beb-replanning": True}
    names |= {"epsilon-greedy-mdp": True, "greedy-mdp": False}
    return [
        Entry(f"{name.removesuffix('-mdp')}-{prior}", group, name, tuned, prior)
        for name, tuned in names.items()
    ]


TABLE2 = ReturnsTable(
    name="table2",
    task="tabular-mdp",
    options={
        **{"states": 10, "actions": 5, "horizon": 10},
        **{"reward_mean": 1.0, "reward_sd": 1.0, "noise_sd": 1.0, "alpha": 1.0},
    },
    cells=[Cell(None, episodes) for episodes in (10, 25, 50, 75, 100)],
    lineup=[
        Entry("random", "baseline", "random"),
        *planners("paper's prior", "paper"),
        *planners("true prior", "true"),
        *trained_entries("mdp"),
        Entry("rl2-fast-weights", "RL from scratch", "mdp-{cell}-fast-weights"),
        Entry("rl2-transition-graph", "RL from scratch", "mdp-{cell}-transition-graph"),
        Entry(
            "rl2-transition-graph-privileged",
            "privileged RL",
            "mdp-{cell}-transition-graph-privileged",
        ),
    ],
    reference="beb-true",
    trials=1000,
    unit="episode",
    adaptation="reward",
    optimum="known-mdp",
)
