"""Table 1 in words: the Markdown of ``docs/table1.md`` and the short table of the README."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from rl2_sb3.reports.agents import look, place
from rl2_sb3.reports.table1 import (
    COMMAND,
    CURVES_COMMAND,
    Cell,
    Entry,
    Table,
    best_exact,
    published,
)

SECOND_PART = ("imitation", "RL after imitation")
TUNED = ("ucb1", "epsilon-greedy", "ots-density", "gittins")
SHORT = (
    *("random", "thompson", "ucb1", "gittins", "gittins-finite-horizon"),
    *("rl2", "rl2-imitation", "rl2-imitation-rl"),
)
MARKERS = "<!-- table1 -->", "<!-- /table1 -->"
LEGEND = """\
**Bold**: the setting's best mean, or not significantly worse by the paper's test (Welch's,
one-sided, p = .05). †: nor by the paired test, which is sharper, since all agents played the same
bandits with the same noise. Both are against the best of all agents that one could deploy in any
setting, trained ones included; the exact optimum, where it can be computed, is the limit and takes
no part."""


def document(table: Table, pictures: Mapping[str, str], notes: Sequence[str]) -> str:
    """The report.

    :param pictures: file names beside the report, and what they show
    :param notes: what is missing, and why
    """
    instances = sorted({entry.instances for _, entry in _entries(table)})
    seeds = sorted({str(entry.seed) for _, entry in _entries(table)})
    counts = " or ".join(f"{n:,}" for n in instances)
    parts = [
        "# Table 1: multi-armed bandits",
        "Written by `rl2 report table1` from the tables under `results/`: edit nothing here.",
        f"Bernoulli arms with means uniform in [0, 1]; a trial is n pulls of k arms. {counts} "
        f"bandits in each setting, seed {', '.join(seeds)}, the same for all agents, apart from "
        "those of training and of tuning; actions are sampled. The paper's means are over 1000 "
        "bandits, so they have a standard error of about 0.07 (n = 10), 0.5 (n = 100) or 2.3 "
        "(n = 500) at k = 5.",
        _verdict(table, "rl2"),
        *notes,
        "## Learning from reward, and knowing the problem",
        "Mean return of a trial ± its standard error, and beside it the paper's number.",
        *_means(table, lambda group: group not in SECOND_PART),
        LEGEND,
    ]
    if any(entry.group in SECOND_PART for _, entry in _entries(table)):
        parts += [
            "## Learning from a teacher",
            "The same network, trained by supervision on what a baseline does, and then by RL from "
            "there on. The paper did so at k = 50, n = 500 and gives no number. Contest and signs "
            "are those of above.",
            *_means(table, lambda group: group in SECOND_PART, paper=False),
            _verdict(table, "rl2-imitation"),
            _verdict(table, "rl2-imitation-rl"),
        ]
    parts += [f"## {words}\n\n![{words}]({name})" for name, words in pictures.items()]
    parts += [
        "## Regret",
        "What a trial falls short of pulling the best arm n times, on average. Standard errors are "
        "in `results/table1.csv`.",
        _regrets(table),
        "## Parameters",
        "Tuned for each setting on other bandits, by sweeps over the paper's grids.",
        _parameters(table),
    ]
    if any(entry.steps is not None for _, entry in _entries(table)):
        parts += ["## Training", _training(table)]
    parts += [
        "## Commands",
        "```console\nrl2 sweep sweeps/*.yaml\npip install -e plugins/rl2-checkpoints\n"
        f"{COMMAND}\n{CURVES_COMMAND}\nrl2 report table1 --readme README.md\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def short_table(table: Table) -> str:
    """A row per setting, for the README."""
    agents = [agent for agent in SHORT if any(agent in entries for entries in table.values())]
    paper = published()
    head = ["n, k"]
    for agent in agents:
        head += ["RL² in the paper"] * (agent == "rl2") + [look(agent).name]
    exact = any(best_exact(entries) is not None for entries in table.values())
    rows = []
    for cell, entries in table.items():
        row = [f"{cell.episodes}, {cell.arms}"]
        for agent in agents:
            row += [_plain(paper.get(cell, {}).get(agent), 1)] * (agent == "rl2")
            row.append(_mark(cell, entries[agent]) if agent in entries else "")
        rows.append(row + [_plain(best_exact(entries), 3)] * exact)
    return markdown_table([*head, *["Bayes optimum"] * exact], rows)


def replace_between(path: Path, text: str) -> None:
    """Put a text between the two markers of a file.

    :raises ValueError: the markers are not there, one time each
    """
    begin, end = MARKERS
    old = path.read_text(encoding="utf-8")
    if (old.count(begin), old.count(end)) != (1, 1) or old.index(end) < old.index(begin):
        raise ValueError(f"{path} needs one line {begin} and below it one line {end}.")
    before, after = old.split(begin)[0], old.split(end)[1]
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    rule = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def _means(table: Table, groups: Callable[[str], bool], paper: bool = True) -> list[str]:
    """A table for each number of pulls."""
    numbers, tables = published() if paper else {}, []
    for n in sorted({cell.episodes for cell in table}):
        cells = [cell for cell in table if cell.episodes == n]
        head, rows = [f"n = {n}"], []
        for cell in cells:
            head += [f"k = {cell.arms}"] + ["paper"] * paper
        entries = [entry for cell in cells for entry in table[cell].values()]
        for agent in _ordered(entry.agent for entry in entries if groups(entry.group)):
            row = [look(agent).name]
            for cell in cells:
                ours = table[cell].get(agent)
                row += [_mark(cell, ours, error=True) if ours else ""]
                row += [_plain(numbers.get(cell, {}).get(agent), 1)] * paper
            rows.append(row)
        exact = [best_exact(table[cell]) for cell in cells]
        if paper and any(value is not None for value in exact):
            row = ["Bayes optimum, its exact value"]
            rows.append([*row, *(text for value in exact for text in (_plain(value, 3), ""))])
        if rows:
            tables.append(markdown_table(head, rows))
    return tables


def _verdict(table: Table, agent: str) -> str:
    """In how many settings an agent is among the best."""
    entries = [cell[agent] for cell in table.values() if agent in cell]
    if not entries:
        return ""
    bold, dagger = (sum(getattr(entry, sign) for entry in entries) for sign in ("bold", "dagger"))
    return (
        f"{look(agent).name} is best, or not significantly worse, in {bold} of {len(entries)} "
        f"settings by the paper's test, in {dagger} by the paired one."
    )


def _regrets(table: Table) -> str:
    agents = _ordered(entry.agent for _, entry in _entries(table))
    rows = [
        [
            look(agent).name,
            *(
                _plain(entries[agent].regret if agent in entries else None, _digits(cell))
                for cell, entries in table.items()
            ),
        ]
        for agent in agents
    ]
    return markdown_table(["n, k", *(f"{c.episodes}, {c.arms}" for c in table)], rows)


def _parameters(table: Table) -> str:
    rows = []
    for cell, entries in table.items():
        specs = [entries[agent].spec if agent in entries else "" for agent in TUNED]
        inner = [spec.partition("(")[2].rstrip(")").replace("'", "") for spec in specs]
        rows.append([f"{cell.episodes}, {cell.arms}", *inner])
    return markdown_table(["n, k", *(look(agent).name for agent in TUNED)], rows)


def _training(table: Table) -> str:
    rows = [
        [
            f"{look(entry.agent).name}, k = {cell.arms}, n = {cell.episodes}",
            "" if entry.steps is None else f"{entry.steps:,.0f}",
            "" if entry.seconds is None else _duration(entry.seconds),
            entry.training_seed,
            entry.hardware,
            f"`{entry.teacher}`" if entry.teacher else "",
        ]
        for cell, entry in _entries(table)
        if entry.steps is not None
    ]
    return markdown_table(["agent", "steps", "hours:minutes", "seed", "hardware", "teacher"], rows)


def _mark(cell: Cell, entry: Entry, error: bool = False) -> str:
    digits = _digits(cell)
    text = f"{entry.mean:.{digits}f}"
    text = f"**{text}**" if entry.bold else text
    text += "†" if entry.dagger else ""
    return f"{text} ± {entry.standard_error:.{digits}f}" if error else text


def _digits(cell: Cell) -> int:
    """Decimals that ten thousand trials can tell apart."""
    return 3 if cell.episodes < 50 else 2 if cell.episodes < 200 else 1


def _plain(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _duration(seconds: float) -> str:
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}"


def _ordered(agents: Iterable[str]) -> list[str]:
    return sorted(set(agents), key=place)


def _entries(table: Table) -> list[tuple[Cell, Entry]]:
    return [(cell, entry) for cell, entries in table.items() for entry in entries.values()]
