"""The report of Table 1, multi-armed bandits: what it says, and what its pictures show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rl2_paper.definitions import Cell
from rl2_paper.figures import Layout
from rl2_paper.markdown import (
    CURVES,
    OUT_OF_SWEEPS,
    README,
    commands,
    markdown_table,
    plain,
)
from rl2_paper.report import Report, write_report
from rl2_paper.result_tables import (
    LEGEND,
    Row,
    digits,
    has_trained,
    in_order,
    means_table,
    ordered,
    parameters,
    played,
    setting,
    training,
    verdict,
)
from rl2_paper.results import Table, best_exact, play_command, published
from rl2_paper.styles import place, style_of
from rl2_paper.table1.gaps import SHOWN, gaps_part
from rl2_paper.table1.lineup import TABLE1
from rl2_sb3.registry import HOW_TO_INSTALL

# All runs of reinforcement learning, with what they went on from beyond the shortest stages.
CURVES_COMMAND = (
    "rl2 plot runs/bandit-*-n10 runs/bandit-*00 runs/bandit-*-n10-privileged "
    "runs/bandit-*00-privileged runs/bandit-*-rl runs/bandit-*-action-gru "
    f"runs/bandit-*-action-gru-privileged --save {CURVES}"
)
TAUGHT = ("imitation", "RL after imitation")
TUNED = ("ucb1", "epsilon-greedy", "ots-density", "gittins")
COMPARED, PAPER_BANDITS = ("greedy", "thompson", "ucb1"), 1000
SHORT = [
    *(Row("ours", a, style_of(a).name) for a in ("random", "thompson", "ucb1", "gittins")),
    Row("ours", "gittins-finite-horizon", "Gittins, finite horizon"),
    Row("published", "rl2", "RL² in the paper"),
    *(
        Row("ours", each.name, style_of(each.name).name)
        for each in sorted(TABLE1.lineup, key=lambda entry: place(entry.name))
        if each.trained
    ),
    Row("exact", "", "Bayes optimum"),
]


def document(table: Table, pictures: Mapping[str, str], notes: Sequence[str]) -> str:
    """The report.

    :param pictures: file names beside the report, and what they show
    :param notes: what is missing, and why
    """
    counts, seeds = played(table)
    learned = {entry.group for _, entry in in_order(table)} & set(TAUGHT)
    parts = [
        "# Table 1: multi-armed bandits",
        "Written by `rl2 report table1` from the tables under `results/`: edit nothing here.",
        f"Bernoulli arms with means uniform in [0, 1]; a trial is n pulls of k arms. {counts} "
        f"bandits in each setting, seed {seeds}, the same for all agents, apart from those of "
        "training and of tuning; actions are sampled. The paper's means are over 1000 bandits, so "
        "they have a standard error of about 0.07 (n = 10), 0.5 (n = 100) or 2.3 (n = 500) at "
        "k = 5.",
        verdict(table, "rl2"),
        verdict(table, "rl2-action-gru"),
        verdict(table, "rl2-action-gru-privileged"),
        verdict(table, "rl2-privileged"),
        *notes,
        "## Learning by reinforcement, and knowing the problem",
        "Mean return of a trial ± its standard error, and beside it the paper's number. RL² was "
        "told in training what the paper's was: states, actions, sampled rewards and ends of "
        "episodes, which are all that its value network sees as well. So was RL² with a cell for "
        "each arm, whose network treats all arms alike, which it need not learn. In privileged "
        "training it learned from expected rewards, and its value network saw the arms' means, "
        "which only a simulator knows; the agent that plays sees none of that. What is empty is "
        "not trained yet.",
        *_means(table, {entry.group for _, entry in in_order(table)} - set(TAUGHT)),
        agreement(table),
        LEGEND.format(tasks="bandits")
        + """ Both are against the best of all agents that one could deploy in any
setting, trained ones included; the exact optimum, where it can be computed, is the limit and takes
no part.""",
    ]
    if learned:
        parts += _taught(table, learned)
    parts += [f"## {words}\n\n![{words}]({name})" for name, words in pictures.items()]
    parts += [
        "## Regret",
        "What a trial falls short of pulling the best arm n times, on average. Standard errors are "
        "in `results/table1.csv`.",
        _regrets(table),
        "## Parameters",
        "Tuned for each setting on other bandits, by sweeps over the paper's grids.",
        parameters(table, TUNED),
        *training(table),
        commands(
            "rl2 sweep sweeps/{ucb1,epsilon-greedy,ots-density,gittins}.yaml " + OUT_OF_SWEEPS,
            HOW_TO_INSTALL,
            play_command(TABLE1),
            CURVES_COMMAND,
            f"rl2 report table1 --readme {README}",
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _taught(table: Table, groups: Iterable[str]) -> list[str]:
    """The part on agents that learned from a teacher."""
    return [
        "## Learning from a teacher",
        "Trained by supervision on what a baseline does, and then from there on by RL, with "
        "privileged training. The network is RL²'s, or one with a cell for each arm: "
        "rl2-checkpoints' README tells which. The paper imitated at k = 50, n = 500 and gives no "
        "number. Comparison and signs are those of above.",
        *_means(table, groups, paper=False),
        verdict(table, "rl2-imitation"),
        verdict(table, "rl2-imitation-rl"),
    ]


def agreement(table: Table) -> str:
    """How well the published means of some baselines agree with ours, in a sentence."""
    numbers = published(TABLE1)
    apart, compared = [], 0
    for cell, entry in in_order(table):
        if entry.agent in COMPARED and entry.agent in numbers.get(cell, {}):
            error = entry.standard_error * math.sqrt(entry.instances / PAPER_BANDITS)
            errors = abs(entry.mean - numbers[cell][entry.agent]) / error
            compared += 1
            if errors > 3:
                apart.append(f"{style_of(entry.agent).name} at {cell.words} ({errors:.1f})")
    if not compared:
        return ""
    left = f"; further off: {', '.join(apart)}" if apart else ""
    return (
        f"Of the paper's means of greedy play, Thompson sampling and UCB1, {compared - len(apart)} "
        f"of {compared} lie within three of their standard errors of ours{left}."
    )


def _means(table: Table, groups: Iterable[str], paper: bool = True) -> list[str]:
    """A table for each number of pulls."""
    tables = []
    for n in sorted({cell.episodes for cell in table}):
        heads = {cell: f"k = {cell.arms}" for cell in table if cell.episodes == n}
        exact = [plain(best_exact(table[cell]), 3) for cell in heads]
        others = {"Bayes optimum, its exact value": exact} if paper and any(exact) else {}
        numbers = published(TABLE1) if paper else None
        always = ["rl2"] if paper and has_trained(table) else []
        tables.append(means_table(f"n = {n}", heads, table, groups, numbers, others, always))
    return tables


def _regrets(table: Table) -> str:
    rows = [
        [
            style_of(agent).name,
            *(
                plain(entries[agent].regret if agent in entries else None, digits(cell))
                for cell, entries in table.items()
            ),
        ]
        for agent in ordered(entry.agent for _, entry in in_order(table))
    ]
    return markdown_table(["n, k", *map(setting, table)], rows)


def layout(cells: Iterable[Cell]) -> Layout:
    """The pulls downwards, the arms to the right."""
    cells = set(cells)
    arms = sorted({cell.arms or 0 for cell in cells})
    rows = [[Cell(k, n) for k in arms] for n in sorted({cell.episodes for cell in cells})]
    return [[cell if cell in cells else None for cell in row] for row in rows]


REPORT = Report(
    paper=TABLE1,
    document=document,
    short=SHORT,
    layout=layout,
    shown=SHOWN,
    adaptation=(
        "Pull within the trial",
        "Regret of a pull: best arm's mean − reward",
        "Mean of {} bandits, ± 2 standard errors",
    ),
    adaptation_title="Regret, pull by pull",
    curves_command=CURVES_COMMAND,
    learning_title="Learning, as in the paper's Figure 2",
    one="gittins",
    panel=lambda cell: f"n = {cell.episodes} pulls",
    series=lambda cell: f"k = {cell.arms}",
    tasks="bandits",
    more=gaps_part,
)


def write(results: Path, docs: Path, readme: Path | None = None) -> list[Path]:
    """Write the report: see :func:`~rl2_paper.report.write_report`."""
    return write_report(REPORT, results, docs, readme)
