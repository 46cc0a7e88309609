"""How fast agents still rose at the end of their training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rl2_paper.slopes import WINDOWS, fitted, main

from rl2_sb3.plots.history import COLUMNS


def test_a_line_has_its_slope_and_no_error() -> None:
    slope = fitted(np.linspace(1e6, 3e6, 21), np.linspace(5.0, 9.0, 21))
    assert slope == pytest.approx((2.0, 0.0), abs=1e-9)


def test_the_error_is_that_of_independent_points() -> None:
    rng = np.random.default_rng(0)
    steps = np.arange(WINDOWS) * 1e6
    found = [fitted(steps, rng.normal(size=WINDOWS)) for _ in range(2000)]
    spread = np.std([each.per_million for each in found])
    error = np.sqrt(np.mean([each.standard_error**2 for each in found]))
    assert error == pytest.approx(spread, rel=0.05)


def test_the_second_half_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [",".join(COLUMNS)]
    for step in range(41):  # flat at first, then two a million steps
        lines.append(f"a,bandit,,10,,RL from scratch,{step * 100_000},{max(step - 20, 0) / 5}")
    table = tmp_path / "curves.csv"
    table.write_text("\n".join(lines) + "\n")
    main(["a", "--curves", str(table)])
    assert capsys.readouterr().out.splitlines()[1].startswith("a, 2.0, 2, ")
    with pytest.raises(SystemExit, match=r"No curve of 'b' in .*curves\.csv"):
        main(["b", "--curves", str(table)])
