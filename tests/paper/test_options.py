from pathlib import Path

import pytest
from rl2_paper import options
from rl2_paper.options import BenchmarkOptions, ReportOptions, home

from rl2_sb3.cli import main


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


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--trials=0", "trials=0: use a whole number from 1 on"),
        ("--workers=0", "workers=0: use a whole number from 1 on"),
        ("--seed=-1", "seed=-1: use a whole number from 0 to"),
    ],
)
def test_options_out_of_range_are_refused(option: str, told: str) -> None:
    with pytest.raises(SystemExit, match=told):
        main(["benchmark", "table1", option])
