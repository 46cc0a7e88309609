"""What the figures show, and that nothing in them lies over another."""

import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from docs.memory_figure import CELL, TRIALS, memory_figure, trial_positions
from rl2_sb3.plots import adaptation_curve, learning_curve
from rl2_sb3.plots.logs import (
    read_progress,
)
from rl2_sb3.plots.style import PALETTE
from tests.plots.runs import write_evaluation, write_run


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that would be written, for a look at what is in them."""
    seen: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, out, format: seen.append(figure))
    return seen


def assert_texts_are_clear(figure: Figure) -> None:
    """No text lies over another one or over the figure's edge."""
    figure.draw_without_rendering()
    hidden = [
        tick.label1
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    ]
    boxes: dict[str, Bbox] = {}
    for i, text in enumerate(figure.findobj(Text)):
        assert isinstance(text, Text)
        if text.get_text().strip() and text.get_visible() and text not in hidden:
            # An annotation's own extent would hold its line, too.
            boxes[f"{i}: {text.get_text()}"] = Text.get_window_extent(text)
    assert len(boxes) > 5
    for name, box in boxes.items():
        assert 0 <= box.x0 <= box.x1 <= figure.bbox.width, f"{name} is cut off"
        assert 0 <= box.y0 <= box.y1 <= figure.bbox.height, f"{name} is cut off"
    for (name, box), (other, second) in combinations(boxes.items(), 2):
        assert not Bbox.intersection(box, second), f"{name} lies over {other}"


def labels_right_of(axes: Axes) -> list[str]:
    """From top to bottom."""
    labels = [t for t in axes.texts if t.get_position()[0] > 1]
    return [t.get_text() for t in sorted(labels, key=lambda t: -t.get_position()[1])]


@pytest.mark.parametrize(
    ("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".PDF", b"%PDF")]
)
def test_format_follows_the_suffix(tmp_path: Path, suffix: str, magic: bytes) -> None:
    run = write_run(tmp_path / "run", [(10, 1.0)])
    out = tmp_path / "new" / f"out{suffix}"

    assert learning_curve([run], out) == out
    assert out.read_bytes().startswith(magic)


def test_other_figures_are_written(tmp_path: Path) -> None:
    evaluation = write_evaluation(tmp_path / "evaluation.csv", {"RL2": [0.5]})

    assert adaptation_curve(evaluation, tmp_path / "out.png").stat().st_size > 10_000
    assert memory_figure(tmp_path / "memory.png").stat().st_size > 10_000


def test_learning_curve_shows_runs_and_references(tmp_path: Path, figures: list[Figure]) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, (3, 100))
    runs = [
        write_run(
            tmp_path / f"run{seed}",
            [(20_000 * (i + 1), 5 + i / 60 + noise[seed, i]) for i in range(100)],
            seed=seed,
        )
        for seed in range(3)
    ]
    references = {"random": 5.0, "Bayes optimum": 6.65999, "UCB1": 6.62, "Gittins": 6.61}

    learning_curve(runs, tmp_path / "out.png", references)

    (axes,) = figures[0].axes
    assert axes.get_title(loc="left") == "bandit, 10 episodes a trial"
    assert axes.get_xlabel() == "Environment steps (millions)"
    assert axes.get_xlim() == (0, 2)
    raw, smooth = axes.lines[:2]
    logged, shown = np.asarray(raw.get_ydata(), float), np.asarray(smooth.get_ydata(), float)
    np.testing.assert_allclose(logged, read_progress(runs[0]).y)
    assert np.diff(shown).std() < np.diff(logged).std() / 2
    assert smooth.get_linewidth() > raw.get_linewidth()
    right = ["Bayes optimum 6.660", "UCB1 6.620", "Gittins 6.610", "random 5.0"]
    assert labels_right_of(axes) == right
    (legend,) = figures[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["seed 0", "seed 1", "seed 2"]
    assert legend.get_window_extent().y1 <= axes.get_tightbbox().y0  # type: ignore[union-attr]
    assert_texts_are_clear(figures[0])


@pytest.mark.parametrize("many", [3, 12])
def test_long_legend_stays_within_the_figure(
    tmp_path: Path, figures: list[Figure], many: int
) -> None:
    options = {f"a_long_option_{i}": i for i in range(many)}
    runs = [
        write_run(
            tmp_path / f"run{seed}",
            [(10, 1.0), (20, 2.0)],
            seed=seed,
            options={key: value + seed for key, value in options.items()},
        )
        for seed in range(9)
    ]

    learning_curve(runs, tmp_path / "out.png")

    assert figures[0].axes[0].get_xlabel() == "Environment steps"
    assert_texts_are_clear(figures[0])
    assert figures[0].axes[0].get_window_extent().height > 3 * figures[0].dpi
    smooth = [line for line in figures[0].axes[0].lines if line.get_linewidth() == 2]
    assert len({(line.get_color(), line.get_linestyle()) for line in smooth}) == 9


@pytest.mark.parametrize("episodes", [1, 10, 40, 500])
def test_adaptation_curve_names_each_line_at_its_end(
    tmp_path: Path, figures: list[Figure], episodes: int
) -> None:
    x = np.arange(episodes)
    agents = {
        "random": 0.5 + 0 * x,
        "greedy": 0.82 - 0.32 * np.exp(-x / 3),
        "Thompson sampling": 0.823 - 0.323 / (1 + x / 8),
        "RL2PPO": 0.821 - 0.321 / (1 + x / 4),
        "Gittins": 0.822 - 0.322 / (1 + x / 4),
    }
    evaluation = write_evaluation(
        tmp_path / "evaluation.csv", {name: list(mean) for name, mean in agents.items()}
    )

    adaptation_curve(evaluation, tmp_path / "out.png")

    (axes,) = figures[0].axes
    assert axes.get_xlabel() == "Episode within the trial"
    assert axes.get_ylabel() == "Mean return"
    assert axes.get_xticklabels()[0].get_text() == "1"
    assert axes.get_xticklabels()[-1].get_text() == str(episodes)
    assert sorted(labels_right_of(axes)) == sorted(agents)
    ours, *others = axes.lines
    assert ours.get_color() == PALETTE[0]
    assert all(ours.get_linewidth() > line.get_linewidth() for line in others)
    assert all(ours.get_zorder() > line.get_zorder() for line in others)
    assert {line.get_marker() for line in axes.lines} == {"o" if episodes <= 20 else ""}
    assert figures[0].legends == []
    assert_texts_are_clear(figures[0])
    if episodes <= 50:
        np.testing.assert_allclose(np.asarray(ours.get_ydata(), float), agents["RL2PPO"])
        low, high = axes.collections[0].get_paths()[0].get_extents().intervaly
        np.testing.assert_allclose(low, agents["RL2PPO"].min() - 0.02)
        np.testing.assert_allclose(high, agents["RL2PPO"].max() + 0.02)


def test_memory_figure_is_legible(tmp_path: Path, figures: list[Figure]) -> None:
    memory_figure(tmp_path / "memory.png")

    assert figures[0].get_size_inches().tolist() == [12, 3.6]
    words = [text.get_text() for text in figures[0].axes[0].texts]
    for trial in TRIALS:
        assert len(set(trial.lengths)) > 1
    assert words.count("start = 1:\nreset to 0") == len(TRIALS)  # once a trial
    assert words.count("$d$ = 1") == words.count("carried\non") == 2 * len(TRIALS)
    assert_texts_are_clear(figures[0])


def test_memory_lies_between_the_inputs() -> None:
    cells, states = trial_positions((2, 1), 0.0)

    assert len(cells) == 3
    assert len(states) == 4
    assert all(
        a < cell + CELL / 2 < b for a, cell, b in zip(states[:-1], cells, states[1:], strict=True)
    )


def test_no_runs() -> None:
    with pytest.raises(ValueError, match="runs is empty"):
        learning_curve([], Path("out.png"))


@pytest.mark.parametrize("name", ["out.gif", "out"])
def test_unknown_format_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    run = write_run(tmp_path / "run", [(10, 1.0)])
    with pytest.raises(ValueError, match=rf"{name}'.* \.png, \.svg or \.pdf"):
        learning_curve([run], tmp_path / "new" / name)
    assert not (tmp_path / "new").exists()


def test_plots_import_neither_torch_nor_stable_baselines3() -> None:
    package = Path(__file__).parents[2] / "rl2_sb3"
    code = (
        "import sys, types\n"
        "parent = types.ModuleType('rl2_sb3')\n"  # the real one brings the algorithms
        f"parent.__path__ = [{str(package)!r}]\n"
        "sys.modules['rl2_sb3'] = parent\n"
        "import rl2_sb3.plots\n"
        "assert not {'torch', 'stable_baselines3', 'matplotlib.pyplot'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
