"""One style for all figures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from rl2_sb3.files import replace_whole

# Okabe & Ito (2008): told apart with any colour vision. Its yellow is too pale on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#666666"
STYLE: Any = {  # matplotlib's own type of its keys differs between its versions
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
}


@contextmanager
def drawing(out: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure in our style, in inches, written to ``out`` at the end of the block.

    :raises ValueError: a format other than png, svg and pdf
    """
    if out.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ValueError(f"out={str(out)!r}: end it in .png, .svg or .pdf.")
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        picture = out.suffix[1:].lower()
        replace_whole(out, lambda file: figure.savefig(file, format=picture))
