from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rl2_paper.definitions import Cell
from rl2_paper.report import read_adaptation, read_curves
from rl2_paper.result_tables import short_table
from rl2_paper.results import published, read_results
from rl2_paper.table2.lineup import TABLE2
from rl2_paper.table2.report import CURVES_COMMAND, REPORT, document, layout

from rl2_sb3.cli import main
from rl2_sb3.plots.history import COLUMNS
from rl2_sb3.presets import names

HEADER = (
    "episodes,agent,spec,group,instances,mean,standard_error,exact,regret,"
    "regret_standard_error,against,behind,behind_standard_error,welch,paired,ahead,"
    "ahead_standard_error,seed,steps,seconds,hardware,teacher,training_seed,version"
)
PAPER, TRUE = "paper's prior", "true prior"


def row(agent: str, mean: float, group: str, against: str, p: Any = 0, **changes: Any) -> str:
    spec = changes.get("spec", agent)
    spec = f'"{spec}"' if "," in spec else spec
    tests = f"{p},{p}" if against else ","
    trained = "9000,60,abacus,beb,7" if agent.startswith("rl2") else ",,,,"
    n = changes.get("n", 10)
    return (
        f"{n},{agent},{spec},{group},1000,{mean},0.8,,{218 - mean},0.8,{against},1,0.1,"
        f"{tests},1,0.1,0,{trained},v"
    )


ROWS = (
    row("random", 100, "baseline", "beb-true"),
    row("psrl-paper", 138, PAPER, "beb-paper"),
    row("opsrl-paper", 150, PAPER, "beb-paper", 0.2, spec="opsrl(prior='paper', samples=9)"),
    row("beb-paper", 150.3, PAPER, "beb-paper", 0.5, spec="beb(prior='paper', scaling=0.25)"),
    row("beb-true", 157.5, TRUE, "beb-true", 0.5, spec="beb(prior='true', scaling=0.75)"),
    row("rl2", 156.9, "RL from scratch", "beb-true", 0.06),
    row("known-mdp", 218.2, "exact", ""),
)


def write(folder: Path, *rows: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "table2.csv").write_text("\n".join([HEADER, *(rows or ROWS)]) + "\n")
    head = "episodes,agent,first_episode,last_episode,reward,standard_error,instances"
    lines = [
        f"10,{agent},{i},{i},{10 + i},0.2,1000"
        for agent in ("random", "beb-true", "rl2", "known-mdp")
        for i in range(1, 11)
    ]
    (folder / "table2-adaptation.csv").write_text("\n".join([head, *lines]) + "\n")
    return folder


def write_curves(folder: Path) -> None:
    plain = "RL from scratch"
    options = "states=10 actions=5 horizon=10 reward_mean=1.0 reward_sd=1.0 noise_sd=1.0 alpha=1.0"
    lines = [
        f"mdp-n10,tabular-mdp,{options},10,,{plain},1000,100",
        f"mdp-n10,tabular-mdp,{options},10,,{plain},2000,125",
        f"mdp-n10-fast-weights-2,tabular-mdp,{options},10,,{plain},2000,130",
        f"later,tabular-mdp,,10,mdp-n10,{plain},3000,150",
        f"smaller,tabular-mdp,{options.replace('states=10', 'states=3')},10,,{plain},2000,125",
        f"mdp-n25,tabular-mdp,{options},25,,{plain},2000,125",
        f"bandit-k5-n10,bandit,arms=5,10,,{plain},2000,6",
    ]
    (folder / "learning_curves.csv").write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")


def test_the_published_table() -> None:
    paper = published(TABLE2)
    assert list(paper) == TABLE2.cells
    assert {len(agents) for agents in paper.values()} == {9}
    assert {agent for agents in paper.values() for agent in agents} - set(TABLE2.agents()) == {
        "snail"
    }
    sums = {agent: sum(each[agent] for each in paper.values()) for agent in ("rl2", "snail")}
    assert sums == pytest.approx({"rl2": 4880.5, "snail": 4949.2})
    assert paper[Cell(None, 100)]["opsrl-paper"] == 1973.9


def test_both_priors_stand_beside_the_published_numbers(tmp_path: Path) -> None:
    table = read_results(write(tmp_path) / "table2.csv", TABLE2)
    text = document(table, {}, [])
    for line in (
        "| agent | n = 10 | paper |",
        "| Random | 100.0 ± 0.8 | 100.1 |",
        "| OPSRL, paper's prior | **150.0**† ± 0.8 | 144.1 |",
        "| agent | n = 10 |",
        "| BEB, true prior | **157.5**† ± 0.8 |",
        "| RL² | **156.9**† ± 0.8 |",
        "| RL² in the paper | 156.2 |",
        "| SNAIL, as published | 159.1 |",
        "| Known MDP | 218.2 ± 0.8 |",
        "| 10 | samples=9 |  | scaling=0.25 |  |  |  |  | scaling=0.75 |  |  |",
        "| RL², n = 10 | 9,000 | 0:01 | 7 | abacus | `beb` |",
    ):
        assert f"{line}\n" in text
    lines = short_table(table, published(TABLE2), REPORT.short).splitlines()
    assert lines[0] == "| n | 10 |"
    assert lines[5:] == [
        "| BEB, paper's prior | **150.3**† |",
        "| BEB, true prior | **157.5**† |",
        "| RL² in the paper | 156.2 |",
        "| SNAIL, as published | 159.1 |",
        "| RL² | **156.9**† |",
        "| Known MDP | 218.2 |",
    ]


def test_each_comparison_group_has_its_best(tmp_path: Path) -> None:
    for wrong in (row("psrl-true", 160, TRUE, "beb-true"), row("ucrl2-paper", 1, PAPER, "rl2")):
        with pytest.raises(ValueError, match=r"n = 10 were not played together.*benchmark table2"):
            read_results(write(tmp_path, *ROWS, wrong) / "table2.csv", TABLE2)


def test_the_command_writes_report_pictures_and_readme(tmp_path: Path) -> None:
    results, docs, readme = write(tmp_path / "results"), tmp_path / "docs", tmp_path / "README.md"
    readme.write_text("<!-- table1 -->\n<!-- /table1 -->\n<!-- table2 -->\nold\n<!-- /table2 -->\n")
    args = ["report", "table2", "--results", str(results), "--docs", str(docs)]
    main(args)
    assert "Without learning curves" in (docs / "table2.md").read_text()
    assert not (docs / "table2_learning.png").exists()
    write_curves(results)
    main([*args, "--readme", str(readme)])
    text = (docs / "table2.md").read_text()
    assert text.count("Without") == text.count("Without the learning curves of n = 25:") == 1
    names = {"table2.md", *(f"table2{x}.png" for x in ("", "_adaptation", "_learning"))}
    assert {path.name for path in docs.iterdir()} == names
    assert all(f"({name})" in text for name in names if name.endswith(".png"))
    assert readme.read_text().startswith(
        "<!-- table1 -->\n<!-- /table1 -->\n<!-- table2 -->\n| n |"
    )
    table = results / "table2.csv"
    table.write_text(
        "\n".join(line for line in table.read_text().splitlines() if "rl2" not in line)
    )
    main(args)
    assert "Without trained agents" in (docs / "table2.md").read_text()


def test_what_the_pictures_show(tmp_path: Path) -> None:
    table = read_results(write(tmp_path) / "table2.csv", TABLE2)
    curves, instances = read_adaptation(tmp_path / "table2-adaptation.csv", TABLE2)
    assert instances == 1000
    np.testing.assert_allclose(curves[Cell(None, 10)]["rl2"].x, range(1, 11))
    np.testing.assert_allclose(curves[Cell(None, 10)]["rl2"].y, range(11, 21))
    write_curves(tmp_path)  # of the paper's MDPs and the table's settings alone
    found, apart = read_curves(tmp_path / "learning_curves.csv", table, REPORT)
    first, second, other = found
    assert first.panel.endswith("\nRL²")
    assert second.panel.endswith("\nRL²")
    assert other.panel.endswith("\nRL², fast weights")
    assert apart == [Cell(None, 25)]  # where nobody has played
    assert (first.series, first.began, second.began) == ("n = 10", False, True)
    np.testing.assert_allclose(first.curve.y, [0, 0.5])  # random play has 100, OPSRL 150
    np.testing.assert_allclose(second.curve.y, [1])


def test_curves_without_a_scale_are_told(tmp_path: Path) -> None:
    other = row("random", 250, "baseline", "random", 0.5, n=25)
    write_curves(write(tmp_path, *ROWS, other))
    main(["report", "table2", "--results", str(tmp_path), "--docs", str(tmp_path)])
    text = (tmp_path / "table2.md").read_text()
    assert "Without the learning curves of n = 25: they lie between Random and OPSRL, p" in text
    assert (tmp_path / "table2_learning.png").exists()  # of n = 10
    write_curves(write(tmp_path, other))
    main(["report", "table2", "--results", str(tmp_path), "--docs", str(tmp_path)])
    text = (tmp_path / "table2.md").read_text()
    assert "Without the learning curves of n = 10; n = 25: they" in text
    assert "has none of these settings" not in text


def test_the_curves_are_of_all_runs_of_reinforcement_learning() -> None:
    patterns = [word for word in CURVES_COMMAND.split() if word.startswith("runs/")]
    for name in (name for name in names() if name.startswith("mdp-")):
        matches = sum(fnmatch(f"runs/{name}", pattern) for pattern in patterns)
        assert matches == (not name.endswith("-imitation")), name  # which log no return


def test_commands_are_told_everywhere() -> None:
    root = Path(__file__).parents[2] / "plugins" / "rl2-paper"
    for name in ("README.md", "docs/table2.md"):
        text = (root / name).read_text()
        for command in ("rl2 sweep sweeps/{beb", "rl2 benchmark table2"):
            assert f"\n{command}" in text


def test_panels() -> None:
    a, b, c, d = cells = [Cell(None, n) for n in (10, 25, 50, 75)]
    assert layout(reversed(cells)) == [[a, b, c], [d, None, None]]
    assert layout([b, a]) == [[a, b]]
