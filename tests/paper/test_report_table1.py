import json
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rl2_paper.definitions import Cell
from rl2_paper.markdown import replace_between
from rl2_paper.report import read_adaptation, read_curves
from rl2_paper.result_tables import short_table
from rl2_paper.results import published, read_results, share
from rl2_paper.table1.gaps import read_gaps
from rl2_paper.table1.lineup import TABLE1
from rl2_paper.table1.report import CURVES_COMMAND, REPORT, document
from safetensors.numpy import save_file

from rl2_sb3 import RL2PPO, make_trials
from rl2_sb3.cli import main
from rl2_sb3.plots.history import COLUMNS, save_curves
from rl2_sb3.presets import names
from rl2_sb3.tables import merge_table, read_table

HEADER = (
    "arms,episodes,agent,spec,group,instances,mean,standard_error,exact,regret,"
    "regret_standard_error,against,behind,behind_standard_error,welch,paired,ahead,"
    "ahead_standard_error,seed,steps,seconds,hardware,teacher,training_seed,version"
)
BASELINE, SCRATCH, TAUGHT = "baseline", "RL from scratch", "imitation"


def row(
    agent: str,
    mean: float,
    welch: float | str = "",
    paired: float | str = "",
    group: str = BASELINE,
    spec: str = "",
    against: str = "ucb1",
    exact: float | str = "",
    **changes: Any,
) -> str:
    against = "" if group == "exact" else against
    cell, trained = changes.get("cell", (5, 10)), "25000000,5460,abacus,greedy,7"
    return (
        f"{cell[0]},{cell[1]},{agent},{spec or agent},{group},{changes.get('trials', 1000)},{mean},"
        f"0.02,{exact},{8.3 - mean:g},0.02,{against},0.1,0.01,{welch},{paired},0.1,0.01,0,"
        f"{trained if group in (SCRATCH, TAUGHT) else ',,,,'},v"
    )


ROWS = (
    row("rl2", 6.58, 0.04, 0.001, SCRATCH),
    row("random", 5, 0, 0),
    row("ucb1", 6.65, 0.5, 0.5, spec="ucb1(c=0.1)"),
    row("gittins-finite-horizon", 6.64, 0.4, 0.03),
    row("gittins", 6.6, 0.06, 0.05, spec="gittins(method='whittle')"),
    row("bayes-optimum", 6.66, group="exact", exact=6.65999),
    row("rl2-imitation", 6.63, 0.049, 0.3, TAUGHT),
)


def write(folder: Path, *rows: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "table1.csv").write_text("\n".join([HEADER, *(rows or ROWS)]) + "\n")
    pulls = "arms,episodes,agent,first_pull,last_pull,regret,standard_error,instances"
    lines = [
        f"5,10,{a},{p},{p + (p > 8)},{1 / p},0.01,1000" for a in ("ucb1", "rl2") for p in (1, 9)
    ]
    (folder / "table1-adaptation.csv").write_text("\n".join([pulls, *lines]) + "\n")
    gaps = "arms,episodes,agent,gap_from,gap_to,trials,share,standard_error"
    lines = [
        f"5,500,{a},{g},{g + 0.1},70,{0.6 + g},0.01" for a in ("ucb1", "rl2") for g in (0, 0.1)
    ]
    (folder / "table1-gaps.csv").write_text("\n".join([gaps, *lines]) + "\n")
    return folder


def write_run(folder: Path, steps: int, **config: Any) -> Path:
    folder.mkdir(parents=True)
    told = {"task": "bandit", "episodes": 10, "options": {"arms": 5, "alpha": 1.0}, **config}
    (folder / "config.json").write_text(json.dumps(told))
    lines = [f"{100 * i},{5 + i / steps}" for i in range(1, steps + 1)]
    text = "\n".join(["time/total_timesteps,trial/return", *lines])
    (folder / "progress.csv").write_text(text + "\n")
    return folder


def test_the_published_table() -> None:
    paper = published(TABLE1)
    assert len(paper) == 9
    assert {len(agents) for agents in paper.values()} == {8}
    assert paper[Cell(50, 500)]["gittins"] == 463.7
    assert paper[Cell(5, 10)]["ots-density"] == 6.5
    assert sum(agents["rl2"] for agents in paper.values()) == pytest.approx(1540.3)


def test_signs_follow_the_p_values(tmp_path: Path) -> None:
    table = read_results(write(tmp_path) / "table1.csv", TABLE1)
    entries = table[Cell(5, 10)]
    assert next(iter(entries)) == "random"  # the table's order, not the file's
    assert [name for name, entry in entries.items() if entry.bold] == [
        *("ucb1", "gittins", "gittins-finite-horizon")
    ]
    assert [name for name, entry in entries.items() if entry.dagger] == [
        *("ucb1", "gittins", "rl2-imitation")
    ]
    text = document(table, {}, [])
    lines = {line.split(" | ")[0][2:]: line for line in text.split("## Regret")[0].splitlines()}
    assert lines["UCB1"] == "| UCB1 | **6.650**† ± 0.020 | 6.7 |"
    assert lines["Gittins, finite horizon"] == "| Gittins, finite horizon | **6.640** ± 0.020 |  |"
    assert lines["RL²"] == "| RL² | 6.580 ± 0.020 | 6.7 |"
    assert lines["RL², imitation"] == "| RL², imitation | 6.630† ± 0.020 |"  # in the second part
    assert lines["Bayes optimum, its exact value"].split(" | ")[1] == "6.660"
    assert "RL² is best, or not significantly worse, in 0 of 1 settings" in text
    assert "| RL², k = 5, n = 10 | 25,000,000 | 1:31 | 7 | abacus | `greedy` |" in text
    assert "| 10, 5 | c=0.1 |  |  | method=whittle |" in text
    assert "and UCB1, 1 of 1 lie within three" in text  # 6.65 for 6.7, ± 0.02
    near = [
        row(agent, mean, 0.5, 0.5, against="greedy")
        for agent, mean in (("ucb1", 6.63), ("greedy", 6.65))
    ]
    far = document(read_results(write(tmp_path, *near) / "table1.csv", TABLE1), {}, [])
    assert "1 of 2 lie within three" in far  # of 6.7 and 6.6
    assert "further off: UCB1 at k = 5, n = 10 (3.5)." in far


def test_the_short_table(tmp_path: Path) -> None:
    table = read_results(write(tmp_path) / "table1.csv", TABLE1)
    lines = short_table(table, published(TABLE1), REPORT.short).splitlines()
    assert lines == [
        "| n, k | 10, 5 |",
        "| --- | --: |",
        "| Random | 5.000 |",
        "| UCB1 | **6.650**† |",
        "| Gittins | **6.600**† |",
        "| Gittins, finite horizon | **6.640** |",
        "| RL² in the paper | 6.7 |",
        "| RL² | 6.580 |",
        "| RL², imitation | 6.630† |",
        "| Bayes optimum | 6.660 |",
    ]


def test_what_was_not_played_together_is_refused(tmp_path: Path) -> None:
    for other in (row("rl2", 6.9, 0.5, 0.5), row("rl2", 6.1, 0, 0, trials=99)):
        with pytest.raises(
            ValueError, match=r"k = 5, n = 10 were not played together.*rl2 benchmark"
        ):
            read_results(write(tmp_path, *ROWS[1:], other) / "table1.csv", TABLE1)
    with pytest.raises(ValueError, match="'many'"):
        read_results(write(tmp_path, row("ucb1", 6, trials="many")) / "table1.csv", TABLE1)


def test_the_command_writes_report_pictures_and_readme(tmp_path: Path, capsys: Any) -> None:
    results, docs, readme = write(tmp_path / "results"), tmp_path / "docs", tmp_path / "README.md"
    readme.write_text("before\n<!-- table1 -->\nold\n<!-- /table1 -->\nafter\n")
    args = ["report", "table1", "--results", str(results), "--docs", str(docs)]
    main(args)
    text = (docs / "table1.md").read_text()
    assert "Without learning curves" in text
    assert "table1_learning.png" not in text
    save_curves([write_run(tmp_path / "bandit-k5-n10", 30)], results / "learning_curves.csv")
    main([*args, "--readme", str(readme)])
    names = {"table1.md", *(f"table1{x}.png" for x in ("", "_adaptation", "_gaps", "_learning"))}
    assert {path.name for path in docs.iterdir()} == names
    text = (docs / "table1.md").read_text()
    assert all(f"({name})" in text for name in names if name.endswith(".png"))
    assert "Without" not in text
    assert readme.read_text().startswith("before\n<!-- table1 -->\n| n, k |")
    assert readme.read_text().endswith(" |\n<!-- /table1 -->\nafter\n")
    assert str(docs / "table1.md") in capsys.readouterr().out


def test_without_trained_agents_and_gaps(tmp_path: Path) -> None:
    results = write(tmp_path / "results", ROWS[1], ROWS[2])
    (results / "table1-gaps.csv").unlink()
    main(["report", "table1", "--results", str(results), "--docs", str(tmp_path / "docs")])
    text = (tmp_path / "docs/table1.md").read_text()
    assert "Without trained agents" in text
    assert "Without appendix C" in text
    assert "## Training" not in text


def test_missing_tables_name_their_command(tmp_path: Path) -> None:
    args = ["report", "table1", "--results", str(tmp_path), "--docs", str(tmp_path / "docs")]
    with pytest.raises(SystemExit, match=r"table1.csv cannot be read.*`rl2 benchmark table1`"):
        main(args)
    with pytest.raises(SystemExit, match=r"no folder .*nowhere: .* with --results"):
        main(["report", "table1", "--results", str(tmp_path / "nowhere")])
    write(tmp_path)
    (tmp_path / "table1-adaptation.csv").write_text("arms\n5\n")
    with pytest.raises(SystemExit, match=r"adaptation.csv lacks.*`rl2 benchmark table1`"):
        main(args)
    with pytest.raises(ValueError, match="needs one line <!-- table1 -->"):
        replace_between(tmp_path / "table1.csv", "table1", "")


def test_what_the_pictures_show(tmp_path: Path) -> None:
    curves, instances = read_adaptation(write(tmp_path) / "table1-adaptation.csv", TABLE1)
    np.testing.assert_allclose(curves[Cell(5, 10)]["rl2"].x, [1, np.sqrt(90)])
    assert instances == 1000
    title, bins = read_gaps(tmp_path / "table1-gaps.csv")
    assert (title, bins["rl2"][0.0, 0.1]) == ("5 arms, 500 pulls", (0.6, 0.01, 70))
    entries = read_results(tmp_path / "table1.csv", TABLE1)[Cell(5, 10)]
    assert share(5.82, entries, "gittins-finite-horizon") == pytest.approx(0.5)
    assert share(5.82, entries, "thompson") is None


def test_curves_are_thinned_and_replaced(tmp_path: Path) -> None:
    out = tmp_path / "curves.csv"
    long = write_run(tmp_path / "a/long", 1000)
    short = write_run(tmp_path / "short", 3, privileged=True)
    main(["plot", str(long), str(short), "--out", f"{tmp_path}/x.png", "--save", str(out)])
    rows = read_table(out, COLUMNS, "")
    assert [r["run"] for r in rows] == ["long"] * 200 + ["short"] * 3
    assert {r["options"] for r in rows} == {"arms=5 alpha=1.0"}
    assert [rows[i]["training"] for i in (0, -1)] == ["RL from scratch", "privileged RL"]
    middle = rows[100]
    assert float(middle["return"]) == pytest.approx(5 + int(middle["steps"]) / 1e5)  # a line
    assert (rows[0]["steps"], rows[199]["steps"]) == ("100", "100000")
    again = write_run(tmp_path / "b/long", 2, init="runs/taught")
    history = {"info": {"history": [{"steps": 30_000, "teacher": "ucb1"}, {"steps": 5_000}]}}
    told = {"rl2_sb3": json.dumps(history)}
    save_file({"x": np.zeros(1)}, again / "agent.safetensors", metadata=told)
    save_curves([again], out)
    rows = read_table(out, COLUMNS, "")
    assert [r["steps"] for r in rows[:2]] == ["35100", "35200"]
    assert [r["run"] for r in rows] == ["long"] * 2 + ["short"] * 3
    assert [r["init"] for r in rows] == ["taught"] * 2 + [""] * 3
    assert [r["training"] for r in rows] == ["RL after imitation"] * 2 + ["privileged RL"] * 3
    with pytest.raises(ValueError, match="Two runs have one name: long, long"):
        save_curves([long, again], out)
    none, apart = read_curves(out, {}, REPORT)  # nobody has played: the curves have no scale
    assert (none, [cell.name for cell in apart]) == ([], ["k5-n10"])
    table = read_results(write(tmp_path / "means") / "table1.csv", TABLE1)
    (short_, long_), apart = read_curves(out, table, REPORT)
    assert apart == []
    assert (short_.panel, short_.began) == ("n = 10 pulls\nRL², privileged training", False)
    assert (long_.panel, long_.began) == ("n = 10 pulls\nRL², imitation, then RL", True)
    assert long_.series == short_.series == "k = 5"
    returns = np.array([float(r["return"]) for r in rows[2:]])
    np.testing.assert_allclose(short_.curve.y, (returns - 5) / 1.6)
    np.testing.assert_allclose(short_.curve.x, [100, 200, 300])


def test_a_run_that_is_not_over_learned_as_what_it_goes_on_from(tmp_path: Path) -> None:
    model = RL2PPO("GRUPolicy", make_trials("bandit", 2, 10), policy_kwargs={"hidden_size": 4})
    for name, told in (("taught", {"teacher": "ucb1"}), ("knowing", {"privileged": True})):
        model.save_agent(tmp_path / name / "agent.safetensors", **told)
        write_run(tmp_path / f"{name}-then", 2, init=f"{tmp_path}/{name}")
    out = tmp_path / "curves.csv"
    save_curves([tmp_path / "taught-then", tmp_path / "knowing-then"], out)
    trainings = {row["run"]: row["training"] for row in read_table(out, COLUMNS, "")}
    assert trainings == {"taught-then": "RL after imitation", "knowing-then": "privileged RL"}


def test_merging_keeps_the_other_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    merge_table(path, [{"a": 1, "b": "x"}, {"a": 3, "b": "y"}], ["a"], lambda r: int(r["a"]))
    merge_table(path, [{"a": 3, "b": "new"}, {"a": 2, "b": "z"}], ["a"], lambda r: int(r["a"]))
    assert path.read_text() == "a,b\n1,x\n2,z\n3,new\n"


def test_the_curves_are_of_all_runs_of_reinforcement_learning() -> None:
    patterns = [word for word in CURVES_COMMAND.split() if word.startswith("runs/")]
    bandits = {name for name in names() if name.startswith("bandit-")}
    named = {
        name for name in bandits if any(fnmatch(f"runs/{name}", pattern) for pattern in patterns)
    }
    assert bandits - named == {
        *(name for name in names("imitate") if name in bandits),  # they log no return
        *(name for name in bandits if name.endswith(("-10-privileged", "-30-privileged"))),
        *(name for name in bandits if name.endswith(("-stage-10", "-stage-30"))),
    }


def test_commands_are_told_everywhere() -> None:
    root = Path(__file__).parents[2] / "plugins" / "rl2-paper"
    for name in ("README.md", "docs/table1.md"):
        assert f"\n{CURVES_COMMAND}" in (root / name).read_text()
