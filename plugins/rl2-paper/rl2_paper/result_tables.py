"""Results as tables in Markdown, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from rl2_paper.definitions import TRAINED, Cell
from rl2_paper.markdown import duration, markdown_table, plain
from rl2_paper.results import Result, Table, best_exact
from rl2_paper.styles import place, style_of

LEGEND = """\
**Bold**: the setting's best mean, or not significantly worse by the paper's test (Welch's,
one-sided, p = .05). †: nor by the paired test, which is sharper, since all agents played the same
{tasks} with the same noise."""


class Row(NamedTuple):
    """A row of a short table: whose numbers, of which agent, and what stands before them."""

    kind: Literal["ours", "published", "exact"]
    agent: str
    head: str


def means_table(
    corner: str,
    heads: Mapping[Cell, str],
    table: Table,
    groups: Iterable[str],
    numbers: Mapping[Cell, Mapping[str, float]] | None = None,
    others: Mapping[str, Sequence[str]] | None = None,
    always: Iterable[str] = (),
) -> str:
    """A row per agent of some groups, a column per cell.

    :param corner: what stands above the agents
    :param heads: the cells, and what stands above each
    :param numbers: the paper's, which stand beside ours
    :param others: other rows, each with a text for each cell
    :param always: agents that have a row even if the paper's numbers are all that is in it
    :return: empty if there are no rows
    """
    head, rows, groups = [corner], [], set(groups)
    for words in heads.values():
        head += [words] + ["paper"] * (numbers is not None)
    found = [result for cell in heads for result in table[cell].values() if result.group in groups]
    for agent in ordered([*(result.agent for result in found), *always]):
        row = [style_of(agent).name]
        for cell in heads:
            ours = table[cell].get(agent)
            row += [mark(cell, ours, error=True) if ours else ""]
            if numbers is not None:
                row += [plain(numbers.get(cell, {}).get(agent), 1)]
        rows.append(row)
    for name, texts in (others or {}).items():
        beside = [""] * (numbers is not None)
        rows.append([name, *(word for text in texts for word in (text, *beside))])
    return markdown_table(head, rows) if rows else ""


def verdict(table: Table, agent: str) -> str:
    """In how many settings an agent is among the best."""
    found = [cell[agent] for cell in table.values() if agent in cell]
    if not found:
        return ""
    bold, dagger = (sum(getattr(result, sign) for result in found) for sign in ("bold", "dagger"))
    return (
        f"{style_of(agent).name} is best, or not significantly worse, in {bold} of {len(found)} "
        f"settings by the paper's test, in {dagger} by the paired one."
    )


def short_table(
    table: Table, numbers: Mapping[Cell, Mapping[str, float]], rows: Sequence[Row]
) -> str:
    """A column per setting, for the README; rows without any number are left out."""

    def text(cell: Cell, kind: str, agent: str) -> str:
        results = table[cell]
        if kind == "published":
            return plain(numbers.get(cell, {}).get(agent), 1)
        if kind == "exact":
            return plain(best_exact(results), 3)
        return mark(cell, results[agent]) if agent in results else ""

    texts = [[head, *(text(cell, kind, agent) for cell in table)] for kind, agent, head in rows]
    head = [corner(table), *(setting(cell) for cell in table)]
    return markdown_table(head, [row for row in texts if any(row[1:])])


def parameters(table: Table, tuned: Sequence[str]) -> str:
    """What tuning found in each setting."""
    rows = []
    for cell, results in table.items():
        specs = [results[agent].spec if agent in results else "" for agent in tuned]
        inner = [spec.partition("(")[2].rstrip(")").replace("'", "").split(", ") for spec in specs]
        told = [", ".join(p for p in each if not p.startswith("prior=")) for each in inner]
        rows.append([setting(cell), *told])
    return markdown_table([corner(table), *(style_of(agent).name for agent in tuned)], rows)


def training(table: Table) -> list[str]:
    """What training took, with its heading; empty if no agent was trained."""
    rows = [
        [
            f"{style_of(result.agent).name}, {cell.words}",
            "" if result.steps is None else f"{result.steps:,.0f}",
            "" if result.seconds is None else duration(result.seconds),
            result.training_seed,
            result.hardware,
            f"`{result.teacher}`" if result.teacher else "",
        ]
        for cell, result in in_order(table)
        if result.steps is not None
    ]
    head = ["agent", "steps", "hours:minutes", "seed", "hardware", "teacher"]
    return ["## Training", markdown_table(head, rows)] if rows else []


def mark(cell: Cell, result: Result, error: bool = False) -> str:
    """A mean with its signs, and with its standard error if that is wanted."""
    n = digits(cell)
    text = f"{result.mean:.{n}f}"
    text = f"**{text}**" if result.bold else text
    text += "†" if result.dagger else ""
    return f"{text} ± {result.standard_error:.{n}f}" if error else text


def digits(cell: Cell) -> int:
    """Decimals that the trials can tell apart: ten thousand bandits, or a thousand MDPs."""
    return 1 if cell.arms is None else 3 if cell.episodes < 50 else 2 if cell.episodes < 200 else 1


def setting(cell: Cell) -> str:
    """A cell as a table has it, after :func:`corner`, in a row or a column."""
    return f"{cell.episodes}" if cell.arms is None else f"{cell.episodes}, {cell.arms}"


def corner(table: Table) -> str:
    """What stands before the cells, or above them."""
    return "n" if all(cell.arms is None for cell in table) else "n, k"


def played(table: Table) -> tuple[str, str]:
    """How many trials each agent played, and the seeds."""
    instances = sorted({result.instances for _, result in in_order(table)})
    seeds = sorted({str(result.seed) for _, result in in_order(table)})
    return " or ".join(f"{n:,}" for n in instances), ", ".join(seeds)


def has_trained(table: Table) -> bool:
    """Whether a trained agent played."""
    return any(result.group in TRAINED for _, result in in_order(table))


def ordered(agents: Iterable[str]) -> list[str]:
    """Each agent once, in the order of tables and legends."""
    return sorted(set(agents), key=place)


def in_order(table: Table) -> list[tuple[Cell, Result]]:
    """All results, each with its cell."""
    return [(cell, result) for cell, results in table.items() for result in results.values()]
