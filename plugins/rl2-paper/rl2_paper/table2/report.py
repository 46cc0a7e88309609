"""The report of Table 2, random tabular MDPs: what it says, and what its pictures show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rl2_paper.definitions import TRAINED, Cell
from rl2_paper.figures import Layout
from rl2_paper.markdown import CURVES, OUT_OF_SWEEPS, README, commands, plain
from rl2_paper.report import Report, write_report
from rl2_paper.result_tables import (
    LEGEND,
    Row,
    has_trained,
    mark,
    means_table,
    parameters,
    played,
    training,
    verdict,
)
from rl2_paper.results import Table, play_command, published
from rl2_paper.styles import place, style_of
from rl2_paper.table2.lineup import TABLE2

# All runs of reinforcement learning.
CURVES_COMMAND = (
    "rl2 plot runs/mdp-n*[0-9] runs/mdp-n*-fast-weights runs/mdp-n*-transition-graph "
    f"runs/mdp-n*-privileged runs/mdp-n*-rl --save {CURVES}"
)
TUNED = tuple(
    f"{name}-{prior}"
    for prior in ("paper", "true")
    for name in ("opsrl", "ucrl2", "beb", "beb-replanning", "epsilon-greedy")
)
SHOWN = (
    "random",
    *(f"{a}-{p}" for p in ("paper", "true") for a in ("psrl", "beb", "greedy")),
    "beb-replanning-true",
)
"""The baselines of the figure with lines; who knows the MDP is there as well."""
PUBLISHED = {"rl2": "RL² in the paper", "snail": "SNAIL, as published"}
LEARNED = sorted((each.name for each in TABLE2.lineup if each.trained), key=place)
PLANNERS = ("psrl", "opsrl", "beb", "beb-replanning")
SHORT = [
    Row("ours", "random", "Random"),
    *(Row("ours", f"{agent}-paper", style_of(f"{agent}-paper").name) for agent in PLANNERS),
    *(Row("ours", agent, style_of(agent).name) for agent in ("beb-true", "beb-replanning-true")),
    *(Row("published", agent, head) for agent, head in PUBLISHED.items()),
    *(Row("ours", agent, style_of(agent).name) for agent in (*LEARNED, TABLE2.optimum)),
]


def document(table: Table, pictures: Mapping[str, str], notes: Sequence[str]) -> str:
    """The report.

    :param pictures: file names beside the report, and what they show
    :param notes: what is missing, and why
    """
    counts, seeds = played(table)
    heads, numbers = {cell: f"n = {cell.episodes}" for cell in table}, published(TABLE2)
    others = {
        head: [plain(numbers.get(cell, {}).get(agent), 1) for cell in table]
        for agent, head in PUBLISHED.items()
    }
    others[style_of(TABLE2.optimum).name] = [
        mark(cell, entries[TABLE2.optimum], error=True) if TABLE2.optimum in entries else ""
        for cell, entries in table.items()
    ]
    parts = [
        "# Table 2: random tabular MDPs",
        "Written by `rl2 report table2` from the tables under `results/`: edit nothing here.",
        "10 states, 5 actions; mean rewards from N(1, 1), rewards with noise N(0, 1), transitions "
        "from a flat Dirichlet distribution; a trial is n episodes of 10 steps. "
        f"{counts} MDPs in each setting, seed {seeds}, the same for all agents, apart from those "
        "of training and of tuning; actions are sampled. Over all MDPs random play has 10 n on "
        "average, which tells how rich these ones are.",
        verdict(table, "rl2"),
        verdict(table, "rl2-fast-weights"),
        verdict(table, "rl2-transition-graph"),
        verdict(table, "rl2-transition-graph-privileged"),
        verdict(table, "rl2-privileged"),
        *notes,
        "## Planning with the paper's prior",
        "Mean return of a trial ± its standard error, and beside it the paper's number. The "
        "paper's agents took mean rewards to be about 0, where they are about 1: what they have "
        "not tried looks worse to them than it is. UCRL2 plans as in its authors' article; the "
        "paper's code carries its optimism about transitions from step to step of the horizon, "
        "which earns more in long trials. What is empty is not played yet.",
        means_table("agent", heads, table, ("baseline", "paper's prior"), numbers),
        "## Planning with the true prior, and learning it",
        "The same agents, told what the MDPs are drawn from, as training tells RL². In privileged "
        "training RL² is paid what an action costs against the best one by the true MDP, and its "
        "value network sees what each action is worth there, which only a simulator knows; the "
        "agent that plays sees neither. RL² from the paper's information has a GRU for a memory, "
        "or what its name says; the other RL² agents have fast weights, where no memory is named. "
        "SNAIL: Mishra et al. 2018. Who knows the MDP plans in it exactly: no agent can have more "
        "on average.",
        means_table("agent", heads, table, ("true prior", *TRAINED), None, others),
        LEGEND.format(tasks="MDPs") + "\nThe agents with the paper's prior are compared among "
        "themselves, all others among themselves;\nwho knows the MDP takes no part.",
        verdict(table, "rl2-imitation"),
        verdict(table, "rl2-imitation-rl"),
        *(f"## {words}\n\n![{words}]({name})" for name, words in pictures.items()),
        "## Parameters",
        "Tuned for each setting and prior on other MDPs, by sweeps over the paper's grids, as far "
        "as `results/sweeps/` has them.",
        parameters(table, TUNED),
        *training(table),
        commands(
            "rl2 sweep sweeps/{beb,beb-replanning,ucrl2,opsrl,epsilon-greedy-mdp}.yaml "
            + OUT_OF_SWEEPS,
            play_command(TABLE2),
            *([CURVES_COMMAND] if has_trained(table) else []),
            f"rl2 report table2 --readme {README}",
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def layout(cells: Iterable[Cell]) -> Layout:
    """Three panels a row."""
    found: list[Cell | None] = [*sorted(cells, key=lambda cell: cell.episodes)]
    rows = [found[i : i + 3] for i in range(0, len(found), 3)]
    return [row + [None] * (len(rows[0]) - len(row)) for row in rows]


REPORT = Report(
    paper=TABLE2,
    document=document,
    short=SHORT,
    layout=layout,
    shown=(*SHOWN, TABLE2.optimum),
    adaptation=(
        "Episode within the trial",
        "Reward of an episode (sum over its 10 steps)",
        "Mean of {} MDPs, ± 2 standard errors; smoothed over ± 10 % of the episode's number",
    ),
    adaptation_title="Reward, episode by episode",
    curves_command=CURVES_COMMAND,
    learning_title="Learning, as in the paper's Figure 3",
    one="opsrl-paper",
    panel=lambda cell: "Random tabular MDPs",
    series=lambda cell: f"n = {cell.episodes}",
    tasks="MDPs",
)


def write(results: Path, docs: Path, readme: Path | None = None) -> list[Path]:
    """Write the report: see :func:`~rl2_paper.report.write_report`."""
    return write_report(REPORT, results, docs, readme)
