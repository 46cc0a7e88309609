"""Table 1: nine settings of bandits, and who plays in them."""

from rl2_paper.definitions import Cell, Entry, ReturnsTable, trained_entries

TABLE1 = ReturnsTable(
    name="table1",
    task="bandit",
    options={"alpha": 1.0, "beta": 1.0},
    cells=[Cell(arms, episodes) for episodes in (10, 100, 500) for arms in (5, 10, 50)],
    lineup=[
        Entry("random", "baseline", "random"),
        Entry("greedy", "baseline", "greedy(ties='first')"),  # the paper's
        Entry("epsilon-greedy", "baseline", "epsilon-greedy", tuned=True),
        Entry("ucb1", "baseline", "ucb1", tuned=True),
        Entry("thompson", "baseline", "thompson"),
        Entry("ots-density", "baseline", "ots-density", tuned=True),
        Entry("ots-mean", "baseline", "ots-mean"),
        Entry("gittins", "baseline", "gittins", tuned=True),
        Entry("gittins-finite-horizon", "baseline", "gittins(method='finite-horizon')"),
        # Beyond ten pulls it has too many beliefs to go through.
        Entry("bayes-optimum", "exact", "bayes-optimum", longest=10),
        *trained_entries("bandit"),
        Entry("rl2-action-gru", "RL from scratch", "bandit-{cell}-action-gru"),
        Entry("rl2-action-gru-privileged", "privileged RL", "bandit-{cell}-action-gru-privileged"),
    ],
    reference="gittins-finite-horizon",
    trials=10_000,
    unit="pull",
    adaptation="regret",
)
