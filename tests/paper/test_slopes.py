"""How fast agents still rose at the end of their training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rl2_paper.slopes import fitted, main, smoothed

from rl2_sb3.plots.history import COLUMNS
from rl2_sb3.plots.logs import running_mean


def test_a_line_has_its_slope_and_no_error() -> None:
    slope = fitted(np.linspace(1e6, 3e6, 21), np.linspace(5.0, 9.0, 21), 3)
    assert slope == pytest.approx((2.0, 0.0), abs=1e-9)
    few = np.linspace(0, 4, 5)
    assert np.isnan(fitted(few, few, 3).standard_error)
    assert np.isnan(fitted(np.ones(1), np.ones(1), 3).per_million)


@pytest.mark.parametrize("points", [60, 200])
def test_the_error_is_that_of_noise_in_running_means(points: int) -> None:
    rng, steps = np.random.default_rng(0), np.arange(points, dtype=np.float64) * 1e6
    places = np.arange(points)
    reach, late = np.minimum(places, smoothed(points) // 2), places >= points // 2
    found = []
    for _ in range(1000):
        curve = running_mean(rng.normal(size=points), reach)
        found.append(fitted(steps[late], curve[late], smoothed(points)))
    spread = np.std([each.per_million for each in found])
    error = np.sqrt(np.mean([each.standard_error**2 for each in found]))
    assert error == pytest.approx(spread, rel=0.3)


def test_the_second_half_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [",".join(COLUMNS)]
    for step in range(41):  # flat at first, then two a million steps
        lines.append(f"a,bandit,,10,,RL from scratch,{step * 100_000},{max(step - 20, 0) / 5}")
    table = tmp_path / "curves.csv"
    table.write_text("\n".join(lines) + "\n")
    main(["a", "--curves", str(table)])
    assert capsys.readouterr().out.splitlines()[1].startswith("a,2.0,2,")
    with pytest.raises(SystemExit, match=r"No curve of 'aa' in .*curves\.csv\. Did you mean 'a'\?"):
        main(["aa", "--curves", str(table)])
    with pytest.raises(SystemExit, match=r"none\.csv"):
        main(["--curves", str(tmp_path / "none.csv")])
