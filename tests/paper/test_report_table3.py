from pathlib import Path
from typing import Any

import pytest
from rl2_paper.table3.report import (
    SEEDS_OF,
    document,
    read_lines,
    read_successes,
    seeds_of,
    short,
)

from rl2_sb3.cli import main
from rl2_sb3.plots.history import COLUMNS
from rl2_sb3.successes import KEPT

PAPER = "size={} split=test mazes=1000 horizon=None movement=engine frame_skip=4"


def write(folder: Path) -> Path:
    rows: list[tuple[Any, ...]] = []
    for size, options in (("small", PAPER), ("large", PAPER)):
        for episode in range(1, 6):
            improved = 0.875 if episode == 2 else ""
            told = (0.99, 60 - episode, 0.5, improved, 1000)
            conditions = "vizdoom-maze", options.format(size), 5, False, 0
            rows.append((*conditions, "rl2", episode, *told, "v"))
            few = (0.5, 99, 9, "", 10)  # another number of mazes, then the likeliest actions
            rows.append((*conditions, "rl2", episode, *few, "v"))
            rows.append((*conditions[:3], True, 0, "rl2", episode, *(0.4, 99, 9, "", 1000), "v"))
    other = PAPER.replace("test", "train"), PAPER.replace("engine", "exact")
    for options in other:
        conditions = "vizdoom-maze", options.format("small"), 5, False, 0
        rows.append((*conditions, "rl2", 1, 0.5, 99, 9, "", 1000, "v"))
    rows.append(
        ("vizdoom-maze", PAPER.format("small"), 5, False, 0, "mine", 1, 0, "", "", "", 1000, "v")
    )
    for agent, trials in (("plan", 1000), ("mine", 1000)):
        once = "vizdoom-maze", PAPER.format("small"), 1, False, 0
        rows.append((*once, agent, 1, 1, 29.25, 1, "", trials, "v"))
        rows.append((*once, agent, 1, 1, 33, 9, "", 200, "v"))  # too few
        rows.append((*once[:-1], 1, agent, 1, 1, 33, 9, "", trials, "v"))  # another seed
    lines = [",".join(map(str, row)) for row in (KEPT, *rows)]
    (folder / "table3-successes.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_the_report_has_our_numbers_beside_the_published_ones(tmp_path: Path) -> None:
    table = read_successes(write(tmp_path) / "table3-successes.csv")
    text = document(table, {"table3_ways.png": "Ways"}, [])
    assert "| **RL²** | 99.0 % | 99.0 % | 99.0 % | 99.0 % | 99.0 % |" in text
    ours = "| **RL²** | 59.0 ± 0.5 | 58.0 ± 0.5 | 57.0 ± 0.5 | 56.0 ± 0.5 | 55.0 ± 0.5 | 87.5 % |"
    assert text.count(ours) == 2
    assert "| RL² in the paper | 52.4 | 39.1 | 42.6 | 43.5 | 43.9 | 91.7 % |" in text
    assert "| A planner that knows the maze (any episode) | 29.2 ± 1.0 |" in text
    assert "| mine | 0.0 % |" in text
    assert text.count("![Ways](table3_ways.png)") == 1
    rows = short(table).splitlines()
    assert (
        "| **RL²** | 99.0 % | 99.0 % | 59.0 ± 0.5 | 58.0 ± 0.5 "
        "| 99.0 % | 99.0 % | 59.0 ± 0.5 | 58.0 ± 0.5 |" in rows
    )
    assert "| SNAIL, as published |  |  | 50.3 | 34.8 |  |  | 140.5 | 105.9 |" in rows
    assert not any("mine" in row for row in rows)


def test_references_have_their_own_numbers_of_mazes_and_failures_count_as_horizons(
    tmp_path: Path,
) -> None:
    rows: list[tuple[Any, ...]] = []
    for size, trials in (("small", 200), ("small", 1000), ("large", 200), ("large", 1000)):
        once = "vizdoom-maze", PAPER.format(size), 1, False, 0
        rows.append((*once, "random", 1, 0.25, trials / 10, 1, "", trials, "v"))
    lines = [",".join(map(str, row)) for row in (KEPT, *rows)]
    (tmp_path / "successes.csv").write_text("\n".join(lines) + "\n")
    table = read_successes(tmp_path / "successes.csv")
    assert table["small"]["random"][1].length == 100
    assert table["large"]["random"][1].length == 20
    told = "ours takes 212.5 steps in small mazes and 755.0 steps in large mazes."
    assert told in document(table, {}, [])  # .25 x 100 + .75 x 250, and .25 x 20 + .75 x 1000


def test_rl2_report_table3(tmp_path: Path, capsys: Any) -> None:
    write(tmp_path)
    told = "task,agent,steps_trained,seconds,hardware"
    took = f"{told}\nvizdoom-maze,rl2,5000000,7260,a laptop\nvizdoom-maze,random,,,\n"
    (tmp_path / "table3.csv").write_text(took + "vizdoom-maze,rl2,5000000,7260,a laptop\n")
    how = "", "privileged RL"
    small = "size=small mazes=9"
    curve = [("maze-a", "vizdoom-maze", small, 2, *how, steps, -16 + steps) for steps in (0, 5, 9)]
    curve.append(("rays", "raycast-maze", small, 2, *how, 4, -9))
    curve.append(("large", "raycast-maze", "size=large", 2, *how, 4, -9))
    curve.append(("longer", "raycast-maze", small, 3, *how, 4, -9))
    curve.append(("bandit-a", "bandit", "arms=5", 10, *how, 1, 6))
    lines = [",".join(map(str, row)) for row in (COLUMNS, *curve)]
    (tmp_path / "learning_curves.csv").write_text("\n".join(lines) + "\n")
    other = [",".join(map(str, (f"{SEEDS_OF}-seed-1", "raycast-maze", small, 2, *how, 4, -9)))]
    (tmp_path / "seed_curves.csv").write_text("\n".join([lines[0], *other]) + "\n")
    assert read_lines(tmp_path / "learning_curves.csv") == {
        "maze-a": [(0, -8), (5, -5.5), (9, -3.5)],
        "rays": [(4, -4.5)],
        "longer": [(4, -3)],
    }
    assert read_lines(tmp_path / "none.csv") == {}
    readme = tmp_path / "README.md"
    readme.write_text("above\n<!-- table3 -->\nold\n<!-- /table3 -->\nbelow\n")
    docs = tmp_path / "docs"
    args = ["--results", str(tmp_path), "--docs", str(docs), "--readme", str(readme)]
    main(["report", "table3", *args])
    names = [Path(line).name for line in capsys.readouterr().out.split()]
    assert names == ["table3.md", "table3_learning.png", "README.md"]
    assert "(table3_learning.png)" in (docs / "table3.md").read_text()
    assert (docs / "table3.md").read_text().count("| **RL²** | 5,000,000 | 2:01 | a laptop |") == 1
    assert "(table3_ways.png)" not in (docs / "table3.md").read_text()  # it is not there
    assert "old" not in readme.read_text()
    assert not (docs / "table3_seeds.png").exists()  # of the preset's own run there is no curve
    with (tmp_path / "learning_curves.csv").open("a") as file:
        file.write(other[0].replace("-seed-1", "") + "\n")
    main(["report", "table3", *args])
    assert "table3_seeds.png" in capsys.readouterr().out
    assert "(table3_seeds.png)" in (docs / "table3.md").read_text()
    with pytest.raises(SystemExit, match=r"table3-successes\.csv cannot be read"):
        main(["report", "table3", "--results", str(docs), "--docs", str(docs)])


def test_the_seeds_of_a_preset_are_drawn_where_it_has_several() -> None:
    lines = {name: [(0.0, float(i))] for i, name in enumerate(("a", "a-seed-2", "a-seed-10"))}
    lines |= {"a-seed-0": [], "a-seed-1-privileged": [], "a-b-seed-1": [], "ba-seed-1": []}
    assert seeds_of("a", lines) == {"seed 0": [(0, 0)], "seed 2": [(0, 1)], "seed 10": [(0, 2)]}
    assert seeds_of("a", {"a": [], "b-seed-1": []}) == {}
