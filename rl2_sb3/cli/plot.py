"""``rl2 plot``: the learning curves of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from rl2_sb3.plots import learning_curve
from rl2_sb3.plots.history import save_curves


@dataclass(kw_only=True)
class Plot:
    """Draw the learning curves of runs, during training or after it."""

    runs: Annotated[list[Path], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...")]
    """Folders of runs."""
    out: Path | None = None
    """Figure to write, .png, .svg or .pdf; by default learning_curve.png in the run's folder, or
    comparison.png in this folder for several runs."""
    reference: dict[str, float] = field(default_factory=dict)
    """Horizontal lines, each a name and a return: --reference "Bayes optimum" 6.66 random 5."""
    save: Path | None = None
    """CSV file to add the curves to, at 200 points each; rows of the same runs are replaced."""


def plot(args: Sequence[str]) -> None:
    """Parse the options and draw."""
    config = tyro.cli(Plot, args=list(args), prog="rl2 plot")
    if not config.runs:
        raise ValueError("name the folder of a run, or of several.")
    one = len(config.runs) == 1
    out = config.out or (config.runs[0] / "learning_curve.png" if one else Path("comparison.png"))
    print(learning_curve(config.runs, out, config.reference))
    if config.save is not None:
        print(save_curves(config.runs, config.save))
