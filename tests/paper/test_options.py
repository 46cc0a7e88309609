from pathlib import Path

import pytest
from rl2_paper import options
from rl2_paper.options import BenchmarkOptions, ReportOptions, home


def test_tables_and_pages_lie_beside_an_editable_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home() == Path()
    (tmp_path / "rl2_paper").mkdir()
    monkeypatch.setattr(options, "__file__", str(tmp_path / "rl2_paper" / "options.py"))
    (tmp_path / "pyproject.toml").touch()
    assert home() == tmp_path
    benchmark = BenchmarkOptions(table="table1")
    assert (benchmark.out, benchmark.sweeps.parent) == (tmp_path / "results", tmp_path / "results")
    assert benchmark.cache_folder == Path("runs/table1")
    assert ReportOptions(table="table2").docs == tmp_path / "docs"
