"""What was measured, as Markdown and as a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch as th
from rl2_paper.markdown import markdown_table

from benchmarks.rows import (
    LIMIT,
    LIMIT_AIM,
    LIMIT_WANTED,
    MEMORY,
    NAMES,
    PARTS,
    PHASES,
    ROWS,
    B,
    C,
    Case,
    Figure,
    Rounds,
    Row,
)

COLUMNS = ("row", "figure", "value", "min", "max", "unit", "precision")
PROVENANCE = ("hardware", "commit", "threads")


class Origin(NamedTuple):
    """Where the figures come from."""

    hardware: str
    commits: dict[str, str]
    """Of ``present`` and ``reference``, where there is one."""
    threads: int


def processor() -> str:
    """The processor's name, its cores, and its arithmetic for bf16."""
    name = "unknown processor"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if "model name" in line)
        cores = f"{sum(line.startswith('processor') for line in lines)} cores"
    except (OSError, StopIteration):
        cores = "unknown cores"
    return f"{name}, {cores}, {'AMX' if has_amx() else 'no AMX'}"


def has_amx() -> bool:
    """Whether the processor multiplies tiles of bf16."""
    return bool(getattr(th.cpu, "_is_amx_tile_supported", bool)())


def _rate(figure: Figure | None) -> str:
    return "" if figure is None else f"{figure.value:,.0f}".replace(",", " ")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _goal(row: Row, goal: float | None) -> str:
    if goal is None:
        return ""
    return f"{goal:g}" if row.unit == "times" else _rate(Figure(goal, goal, goal))


def _against(row: Row, origin: Origin) -> str:
    """What a row compares with, in words."""
    other = row.against
    if other.version != row.case.version:
        return f"{origin.commits[other.version]}, {other.precision}"
    if other.threads != row.case.threads:
        return f"{other.threads} thread"
    return NAMES[other].partition(" ")[0]


def ratios(rounds: Rounds, names: Sequence[str], origin: Origin) -> str:
    """The table of comparisons."""
    head = ["", "precision", "steps/s", "against", "its steps/s", "ratio", "from – to"]
    lines = []
    for row in ROWS:
        speed = rounds.speed(row.case, row.figure)
        if row.name not in names or speed is None:
            continue
        other = rounds.speed(row.against, row.figure)
        line = [row.words, row.case.precision, _rate(speed)]
        ratio = rounds.ratio(row.case, row.against, row.figure)
        if ratio is None:
            line += [""] * 4
        else:
            line += [_against(row, origin), _rate(other), f"{ratio.value:.2f}"]
            line.append(f"{ratio.least:.2f} – {ratio.greatest:.2f}")
        lines.append([*line, _goal(row, row.wanted), _goal(row, row.aim)])
    share, most = rounds.share(B), rounds.limit("bf16")
    if LIMIT in names and share is not None and most is not None:
        lines.append(
            [
                *("(b)'s share of the arithmetic limit", "bf16", _rate(rounds.speed(B))),
                *("the limit", _rate(Figure(most, most, most)), _percent(share.value)),
                f"{_percent(share.least)} – {_percent(share.greatest)}",
                *(_percent(LIMIT_WANTED), _percent(LIMIT_AIM)),
            ]
        )
    return markdown_table([*head, "wanted", "aim"], lines) if lines else ""


def phases(rounds: Rounds) -> str:
    """The table of collecting and training, beside RecurrentPPO."""
    head = ["", "precision", "collecting", "training", "both", "of the limit", "ratio to (c)"]
    lines = []
    for case, words in NAMES.items():
        if (both := rounds.speed(case)) is None:
            continue
        line = [words, case.precision, _rate(rounds.speed(case, "collecting"))]
        training = rounds.speed(case, "training")
        ratio, share = rounds.ratio(case, C), None
        if case.workload == "shared-256":
            share = rounds.share(case)
        if training is None or ratio is None:
            lines.append([*line, *[""] * 4])
            continue
        line += [_rate(training), _rate(both), "" if share is None else _percent(share.value)]
        lines.append([*line, f"{ratio.value:.2f}"])
    return markdown_table(head, lines) if lines else ""


def document(rounds: Rounds, names: Sequence[str], origin: Origin) -> str:
    """All tables, with what they were measured on."""
    texts = [phases(rounds)] if PHASES in names else []
    texts.append(ratios(rounds, names, origin))
    shares = rounds.percent()
    if shares:
        head = ["where the time of (b) goes", "share"]
        lines = [[part, f"{share.value:.1f} %"] for part, share in shares.items()]
        texts.append(markdown_table(head, lines))
    flops = [
        f"{max(values) / 1e9:.0f} GFLOP/s in {precision}"
        for precision, values in rounds.flops.items()
        if values
    ]
    threads = f"{origin.threads} thread{'s' * (origin.threads > 1)}"
    commits = " against ".join(origin.commits.values())
    note = f"{origin.hardware}; {threads}; commit {commits}."
    if flops:
        note += f" Fastest product: {', '.join(flops)}."
    if not has_amx():
        note += " What is wanted in bf16 is for processors with AMX, which this one has not."
    if rounds.memory:
        peaks = [f"{peak:.2f} GiB in {precision}" for precision, peak in rounds.memory.items()]
        note += f" Peak memory with 250 000 steps a rollout: {', '.join(peaks)}."
    return "\n\n".join(text for text in [*texts, note] if text)


def records(rounds: Rounds, names: Sequence[str], origin: Origin) -> Iterator[list[object]]:
    """Rows of the CSV file: one figure each."""

    def record(row: str, figure: str, of: Figure, unit: str, case: Case) -> list[object]:
        threads = case.threads or origin.threads
        commit = origin.commits[case.version]
        values = [f"{value:.6g}" for value in of]
        return [row, figure, *values, unit, case.precision, origin.hardware, commit, threads]

    for case in rounds.seconds:
        for figure in ("collecting", "training", "both"):
            if (speed := rounds.speed(case, figure)) is not None:
                yield record(case.workload, figure, speed, "steps/s", case)
    for row in ROWS:
        ratio = rounds.ratio(row.case, row.against, row.figure)
        if row.name in names and ratio is not None:
            to = _against(row, origin)
            yield record(row.name, f"{row.figure}, ratio to {to}", ratio, "", row.case)
    share = rounds.share(B)
    if LIMIT in names and share is not None:
        yield record(LIMIT, "share", share, "", B)
    for precision, values in rounds.flops.items():
        if values:
            most = Figure(max(values), min(values), max(values))
            yield record("product", "rate", most, "FLOP/s", Case("", precision))
    for part, percent in rounds.percent().items():
        yield record(PARTS, part, percent, "%", B)
    for precision, peak in rounds.memory.items():
        yield record(MEMORY, "peak", Figure(peak, peak, peak), "GiB", Case("", precision))


def write_csv(path: Path, rounds: Rounds, names: Sequence[str], origin: Origin) -> None:
    """Write all figures, one a row, over what the file had."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, *PROVENANCE])
        writer.writerows(records(rounds, names, origin))
