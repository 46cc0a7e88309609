"""Table 3: small and large mazes, and who plays in them."""

from rl2_paper.definitions import Cell, Entry, PaperTable

MAZES, EPISODES = 1000, 5
REFERENCE_MAZES = {"small": MAZES, "large": 200}
"""Of a plan and of random play: a plan of a large maze takes two seconds."""
REFERENCES = ("plan", "random")
"""Who learns nothing from one episode to the next, so that one is enough."""
HORIZONS = {"small": 250, "large": 1000}

TABLE3 = PaperTable(
    name="table3",
    task="vizdoom-maze",
    options={
        **{"split": "test", "mazes": MAZES, "horizon": None},
        **{"movement": "engine", "frame_skip": 4},
    },
    cells=[Cell(None, EPISODES, size) for size in HORIZONS],
    lineup=[
        Entry("random", "baseline", "random"),
        Entry("rl2", "RL from scratch", "maze-small"),  # trained on small mazes alone
        Entry("rl2-privileged", "privileged RL", "maze-small-privileged"),
        Entry("rl2-imitation", "imitation", "maze-small-imitation"),
        Entry("rl2-imitation-rl", "RL after imitation", "maze-small-imitation-rl"),
        Entry("rl2-large", "privileged RL", "maze-large-privileged"),  # trained on large ones, too
        Entry("plan", "exact", "plan"),
    ],
    trials=MAZES,
)
