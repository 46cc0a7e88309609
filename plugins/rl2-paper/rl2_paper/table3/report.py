"""The report of Table 3, visual navigation: whether the goal is found, and how soon."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from rl2_paper.markdown import (
    CURVES,
    HERE,
    README,
    commands,
    duration,
    markdown_table,
    replace_between,
)
from rl2_paper.results import play_command
from rl2_paper.table3.lineup import EPISODES, HORIZONS, MAZES, REFERENCE_MAZES, REFERENCES, TABLE3
from rl2_sb3.plots.history import COLUMNS
from rl2_sb3.plots.style import GREY, PALETTE, drawing
from rl2_sb3.successes import KEPT
from rl2_sb3.tables import read_table

LEARNED_IN = (TABLE3.task, "raycast-maze")
"""The engine's mazes, and the same drawn by rays."""
SETTING = {name: str(value) for name, value in TABLE3.options.items()}
"""The paper's, as the options of rows tell it."""
SIZES = {size: f"{size.title()} mazes, at most {steps} steps" for size, steps in HORIZONS.items()}
AGENTS = {
    "snail-random": "Random play, as SNAIL's authors published",
    "random": "Random play (any episode)",
    "paper-rl2": "RL² in the paper",
    "snail": "SNAIL, as published",
    "rl2": "**RL²**",
    "rl2-privileged": "**RL², privileged training, 6500 mazes**",
    "rl2-imitation": "**RL², imitation**",
    "rl2-imitation-rl": "**RL², imitation, then RL**",
    "rl2-large": "**RL², privileged training, large mazes too**",
    "plan": "A planner that knows the maze (any episode)",
}
SEEDS_OF = "maze-small-rays"
"""A preset whose runs with several seeds are drawn: ``maze-small-rays-seed-1`` and so on."""
COMMANDS = (
    "pip install -c constraints.txt -e plugins/rl2-vizdoom -e plugins/rl2-checkpoints",
    play_command(TABLE3),
    f"python -m rl2_paper.table3.pictures maze-small-privileged --out {HERE}/docs",
    f"rl2 plot runs/maze-* --save {CURVES}",
    f"rl2 plot runs/seeds/maze-* --save {HERE}/results/seed_curves.csv",
    f"rl2 report table3 --readme {README}",
)
PICTURES = {
    "table3_mazes.png": "What the agent sees, and a small and a large maze (the paper's Figure 4)",
    "table3_seeds.png": "Learning from the paper's information alone (the paper's Figure 5)",
    "table3_learning.png": "Learning in all settings, with privileged training too",
    "table3_ways.png": "Ways gone in the first episodes of a trial (the paper's Figure 6)",
}


class MazeEpisode(NamedTuple):
    """What an agent did in an episode of its trials; None where nobody has told."""

    success: float | None
    length: float | None
    error: float | None
    improved: float | None


Table = Mapping[str, Mapping[str, Mapping[int, MazeEpisode]]]
"""By size, agent and episode."""


def write(results: Path, docs: Path, readme: Path | None = None) -> list[Path]:
    """Write ``table3.md`` and the pictures of learning; others are shown if they are there.

    :param results: folder of the tables
    :param docs: folder to write into
    :param readme: a file whose text between two markers is replaced by the short table
    :return: what was written
    :raises ValueError: a table that is missing or cannot be read
    """
    table = read_successes(results / "table3-successes.csv")
    written = []
    lines = read_lines(results / "learning_curves.csv")
    seeds = seeds_of(SEEDS_OF, {**lines, **read_lines(results / "seed_curves.csv")})
    for several, name in ((seeds, "table3_seeds.png"), (lines, "table3_learning.png")):
        if several:
            written.append(learning(several, docs / name))
    pictures = {name: words for name, words in PICTURES.items() if (docs / name).exists()}
    report = docs / "table3.md"
    report.parent.mkdir(parents=True, exist_ok=True)
    took = read_training(results / "table3.csv")
    report.write_text(document(table, pictures, took), encoding="utf-8")
    written.insert(0, report)
    if readme is not None:
        replace_between(readme, "table3", short(table))
        written.append(readme)
    return written


def read_successes(path: Path) -> Table:
    """Our episodes and the published ones; of the paper's setting alone."""
    table: dict[str, dict[str, dict[int, MazeEpisode]]] = {size: {} for size in SIZES}
    source = resources.files("rl2_paper.table3").joinpath("published.csv")
    for row in csv.DictReader(source.read_text(encoding="utf-8").splitlines()):
        _add(table[row["size"]], row)
    for row in read_table(path, KEPT, f"Run `{play_command(TABLE3)}`."):
        if row["task"] == TABLE3.task:
            options = dict(part.split("=") for part in row["options"].split())
            size = options.pop("size")
            once = row["agent"] in REFERENCES
            settings = tuple(row[key] for key in ("episodes", "deterministic", "seed", "trials"))
            mazes = REFERENCE_MAZES.get(size) if once else MAZES
            asked = str(1 if once else EPISODES), "False", "0", str(mazes)
            if size in table and options == SETTING and settings == asked:
                _add(table[size], {**row, "improved": row["no_longer_than_first"]})
    return table


def _add(agents: dict[str, dict[int, MazeEpisode]], row: Mapping[str, str]) -> None:
    names = ("success", "length", "standard_error", "improved")
    told = [float(row[name]) if row.get(name) else None for name in names]
    agents.setdefault(row["agent"], {})[int(row["episode"])] = MazeEpisode(*told)


def read_training(path: Path) -> list[tuple[str, ...]]:
    """What training took: agent, steps, hours and minutes, hardware; empty without the table."""
    if not path.exists():
        return []
    trained = ("task", "agent", "steps_trained", "seconds", "hardware")
    rows = [
        (
            AGENTS[row["agent"]],
            f"{int(row['steps_trained']):,}",
            duration(float(row["seconds"])),
            row["hardware"],
        )
        for row in read_table(path, trained, f"Run `{play_command(TABLE3)}`.")
        if row["task"] == TABLE3.task and row["agent"] in AGENTS and row["steps_trained"]
    ]
    return list(dict.fromkeys(rows))


def document(table: Table, pictures: Mapping[str, str], took: Sequence[Sequence[str]]) -> str:
    """The report.

    :param pictures: file names beside the report, and what they show
    :param took: rows of :func:`read_training`
    """
    parts = [
        "# Table 3: visual navigation",
        "Written by `rl2 report table3` from the tables under `results/`: edit nothing here.",
        "A player sees a maze in 40x30 pixels and looks for a red block, which stays where it is "
        f"through the five episodes of a trial. {MAZES} test mazes of each size "
        f"({REFERENCE_MAZES['large']} of the large ones for the plan and random play), none of "
        "them met in training. That is of two episodes in 1000 small mazes, as in the paper, but "
        "for two agents: that of privileged training alone went on in 6500 of the 6912 small mazes "
        "that are not for tests, at last in trials of three episodes, and one went on in large "
        "mazes, 1000 and then 10 000. There are but 192 ways to set a small maze's walls: of the "
        "1000 small test mazes 509 have walls and goal of one of the first 1000 for training, and "
        "997 of one of 6500, and differ from it in the start.",
        "A success reaches the goal before the horizon; lengths are those of successes, in steps, "
        "± their standard error; improved are the mazes in which the second episode was no longer "
        "than the first, a failure being as long as the horizon. How SNAIL's authors counted the "
        f"failures of random play is not known{failures_at_the_horizon(table)}.",
        "With privileged training, alone or after imitation, an agent learned from the way that "
        "each step won towards the goal, and its memory to predict where the goal lies, which only "
        "a simulator knows; the agent that plays sees neither. In imitation a guide that knows the "
        "way said at every step of the agent's what it would do.",
    ]
    for size, words in SIZES.items():
        parts += [f"## {words}", "### Success", successes(table[size])]
        parts += ["### Steps of successes, and improved mazes", lengths(table[size])]
    parts += [f"## {words}\n\n![{words}]({name})" for name, words in pictures.items()]
    if took:
        head = ["agent", "steps", "hours:minutes", "hardware"]
        parts += ["## Training", markdown_table(head, took)]
    parts.append(commands(*COMMANDS))
    return "\n\n".join(parts) + "\n"


def failures_at_the_horizon(table: Table) -> str:
    """How long random play takes where failures count as the horizon; nothing if it is unknown."""
    told = []
    for size, horizon in HORIZONS.items():
        played = table[size].get("random", {}).get(1)
        if played and played.success is not None and played.length is not None:
            mean = played.success * played.length + (1 - played.success) * horizon
            told.append(f"{mean:.1f} steps in {size} mazes")
    return f": at the horizon, ours takes {' and '.join(told)}" if told else ""


def successes(agents: Mapping[str, Mapping[int, MazeEpisode]]) -> str:
    """A row per agent, a column per episode."""
    rows = []
    for agent, episodes in _ordered(agents):
        shares = [_percent(getattr(episodes.get(i), "success", None)) for i in _numbers()]
        if any(shares):
            rows.append([AGENTS.get(agent, agent), *shares])
    return markdown_table(["episode", *map(str, _numbers())], rows)


def lengths(agents: Mapping[str, Mapping[int, MazeEpisode]]) -> str:
    """The same of lengths, and how many mazes improved."""
    rows = []
    for agent, episodes in _ordered(agents):
        steps = [_steps(episodes.get(i)) for i in _numbers()]
        improved = _percent(episodes[2].improved if 2 in episodes else None)
        rows.append([AGENTS.get(agent, agent), *steps, improved])
    return markdown_table(["episode", *map(str, _numbers()), "improved"], rows)


def short(table: Table) -> str:
    """The first two episodes of both sizes."""
    head = [""]
    for size in SIZES:
        head += [f"{size}: {what}, episode {i}" for what in ("success", "steps") for i in (1, 2)]
    rows = []
    for agent in AGENTS:
        row = [AGENTS[agent]]
        for size in SIZES:
            episodes = table[size].get(agent, {})
            row += [_percent(getattr(episodes.get(i), "success", None)) for i in (1, 2)]
            row += [_steps(episodes.get(i)) for i in (1, 2)]
        if any(row[1:]):
            rows.append(row)
    return markdown_table(head, rows)


def _numbers() -> range:
    return range(1, EPISODES + 1)


def _ordered(
    agents: Mapping[str, Mapping[int, MazeEpisode]],
) -> list[tuple[str, Mapping[int, MazeEpisode]]]:
    """Those that are known in their order, then the others."""
    known = [agent for agent in AGENTS if agent in agents]
    return [(agent, agents[agent]) for agent in [*known, *sorted(set(agents) - set(known))]]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _steps(played: MazeEpisode | None) -> str:
    if played is None or played.length is None:
        return ""
    return f"{played.length:.1f}" + (f" ± {played.error:.1f}" if played.error else "")


Line = list[tuple[float, float]]


def read_lines(path: Path) -> dict[str, Line]:
    """The learning curves of runs in small mazes, as steps and mean returns of an episode.

    :raises ValueError: a table that cannot be read; without the file there are no curves
    """
    lines: dict[str, Line] = {}
    for row in (
        read_table(path, COLUMNS, f"Write it with `rl2 plot RUNS --save {path}`.")
        if path.exists()
        else ()
    ):
        if row["task"] in LEARNED_IN and "size=small" in row["options"].split():
            mean = float(row["return"]) / int(row["episodes"])
            lines.setdefault(row["run"], []).append((float(row["steps"]), mean))
    return lines


def seeds_of(preset: str, lines: Mapping[str, Line]) -> dict[str, Line]:
    """The lines of a preset's runs by their seeds; empty unless there are several."""
    found = {run: re.fullmatch(rf"{re.escape(preset)}(?:-seed-([1-9]\d*))?", run) for run in lines}
    seeds = {int(match[1] or 0): lines[run] for run, match in found.items() if match}
    return {f"seed {seed}": seeds[seed] for seed in sorted(seeds)} if len(seeds) > 1 else {}


def learning(lines: Mapping[str, Line], out: Path) -> Path:
    """Draw the mean return of an episode over training, a line per run."""
    with drawing(out, 7, 3.2 + 0.15 * len(lines)) as figure:
        axes = figure.subplots()
        for i, (run, points) in enumerate(lines.items()):
            x, y = zip(*points, strict=True)
            again, color = divmod(i, len(PALETTE))
            style = ("-", ":", "--")[again % 3]
            axes.plot([s / 1e6 for s in x], y, label=run, color=PALETTE[color], ls=style)
        axes.axhline(-0.5, color=GREY, lw=1, ls="--", label="the paper's at its end, about")
        axes.set_xlim(left=0)
        axes.set_xlabel("Environment steps (millions)")
        axes.set_ylabel("Mean return of an episode")
        figure.legend(loc="outside upper center", ncols=2)
    return out
