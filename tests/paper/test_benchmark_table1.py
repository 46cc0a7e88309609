import csv
import shutil
import zipfile
from multiprocessing.pool import Pool
from pathlib import Path

import pytest
from rl2_paper.table1.lineup import TABLE1

from rl2_sb3 import RL2PPO, BernoulliBandit, evaluate_trials, make_trials
from rl2_sb3.baselines import UCB1
from rl2_sb3.cli import main
from rl2_sb3.registry import AGENTS


def write_sweeps(folder: Path) -> None:
    """One tuned parameter for each sweep, in the columns that `rl2 sweep` writes."""
    folder.mkdir(parents=True)
    for name, parameter, value in (
        *(("ucb1", "c", 0.1), ("epsilon-greedy", "epsilon", 0.1)),
        *(("ots-density", "samples", 4), ("gittins", "gamma", 0.9)),
    ):
        lines = [f"agent,arms,episodes,{parameter},mean,standard_error,trials"]
        lines += [f"{name},{c.arms},{c.episodes},{value},9.5,0.1,1000" for c in TABLE1.cells]
        (folder / f"{name}-best.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(AGENTS, "names", list)  # whatever is installed here
    write_sweeps(Path("results/sweeps"))
    return tmp_path


def rows(name: str = "table1") -> list[dict[str, str]]:
    with Path(f"results/{name}.csv").open() as file:
        return list(csv.DictReader(file))


def table1(*args: str) -> None:
    main(["benchmark", "table1", "--workers", "1", "--trials", "300", *args])


def test_a_cell_is_played_and_tested(workplace: Path) -> None:
    table1("--cells", "k5-n10")
    table = {row["agent"]: row for row in rows()}
    assert list(table) == [each.name for each in TABLE1.lineup if not each.trained]
    ucb1 = evaluate_trials(UCB1(arms=5, c=0.1), BernoulliBandit(), 300, seed=0, episodes=10)
    assert table["ucb1"]["spec"] == "ucb1(c=0.1)"
    assert float(table["ucb1"]["mean"]) == pytest.approx(ucb1.mean)
    assert float(table["ucb1"]["regret"]) == pytest.approx(ucb1.regret.sum(1).mean(), rel=1e-4)
    assert float(table["bayes-optimum"]["exact"]) == pytest.approx(6.65999, abs=1e-5)
    assert table["bayes-optimum"]["against"] == table["bayes-optimum"]["welch"] == ""
    compared = [row for row in rows() if row["group"] != "exact"]
    best = max(compared, key=lambda row: float(row["mean"]))
    assert {row["against"] for row in compared} == {best["agent"]}
    assert float(best["welch"]) == float(best["paired"]) == 0.5
    assert float(table["random"]["paired"]) < 1e-6
    curve = [float(row["regret"]) for row in rows("table1-adaptation") if row["agent"] == "ucb1"]
    assert curve == pytest.approx(ucb1.regret.mean(0), rel=1e-3)
    assert not Path("results/table1-gaps.csv").exists()  # of k5-n500 alone


def test_what_was_played_is_not_played_again(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("--cells", "k5-n10", "--agents", "random", "ucb1")
    table1(*args)
    before = Path("results/table1.csv").read_text()
    left: list[int | None] = []
    join = Pool.join

    def spy(pool: Pool) -> None:
        join(pool)
        left.extend(process.exitcode for process in pool._pool)  # type: ignore[attr-defined]

    monkeypatch.setattr(Pool, "join", spy)
    table1(*args, "--overwrite", "--workers", "2")  # other processes, the same numbers
    assert left == [0, 0]  # ended by themselves: killed, they would leak semaphores
    assert Path("results/table1.csv").read_text() == before
    monkeypatch.setattr("rl2_paper.cache.evaluate_trials", None)  # whoever plays now fails
    table1(*args)
    assert Path("results/table1.csv").read_text() == before
    for changed in (("--seed", "1"), ("--trials", "200")):
        with pytest.raises(SystemExit, match=r"has k5-n10 with 300 trials of seed 0, .*--out"):
            table1(*args, *changed)
        with pytest.raises(SystemExit, match="not callable"):
            table1(*args, *changed, "--out", "mine")
    with pytest.raises(SystemExit, match="not callable"):
        table1(*args, "--overwrite")
    assert Path("results/table1.csv").read_text() == before


def test_the_report_is_of_the_tables_that_were_written(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ("--cells", "k5-n10", "--agents", "random", "ucb1", "gittins-finite-horizon")
    table1(*args)
    assert capsys.readouterr().out.endswith("The report: rl2 report table1\n")
    table1(*args, "--out", "mine")
    words = capsys.readouterr().out
    assert words.endswith("The report: rl2 report table1 --results mine --docs mine\n")
    main(words.rpartition("rl2 ")[2].split())
    assert Path("mine/table1.md").exists()


@pytest.mark.parametrize("part", ["end", "member"])
def test_a_damaged_file_is_played_again(workplace: Path, part: str) -> None:
    args = ("--cells", "k5-n10", "--agents", "random")
    table1(*args)
    before = Path("results/table1.csv").read_text()
    (file,) = Path("runs/table1/k5-n10").glob("random-*.npz")
    content = file.read_bytes()
    if part == "end":
        file.write_bytes(content[:-100])
    else:
        with zipfile.ZipFile(file) as members:
            begin = members.getinfo("returns.npy").header_offset + 60  # past the member's header
        file.write_bytes(content[:begin] + b"\xff" * 50 + content[begin + 50 :])
        assert zipfile.is_zipfile(file)
    Path("results/table1.csv").unlink()
    table1(*args)
    assert Path("results/table1.csv").read_text() == before


def test_rows_of_other_agents_and_cells_stay(workplace: Path) -> None:
    table1("--cells", "k5-n10", "--agents", "random", "ucb1")
    table1("--cells", "k10-n10", "--agents", "random")
    table1("--cells", "k5-n10", "--agents", "thompson", "gittins-finite-horizon")
    found = [(row["arms"], row["agent"], row["against"]) for row in rows()]
    five = ["random", "ucb1", "thompson", "gittins-finite-horizon"]
    best = max(rows()[:4], key=lambda row: float(row["mean"]))["agent"]
    assert found == [*(("5", agent, best) for agent in five), ("10", "random", "random")]
    Path("results/table1.csv").write_text("agent,mean\nrandom,5\n")
    with pytest.raises(SystemExit, match="Move it away"):
        table1("--cells", "k5-n10", "--agents", "random")


def test_all_that_stand_in_a_cell_play_with_the_parameters_of_now(workplace: Path) -> None:
    """So that all are tested against the same best, and the report takes the table."""
    agents = ("random", "ucb1", "gittins", "epsilon-greedy")
    table1("--cells", "k5-n10", "k5-n500", "--agents", *agents)
    before = rows()
    tuned = Path("results/sweeps/ucb1-best.csv")
    tuned.write_text(tuned.read_text().replace("ucb1,5,500,0.1", "ucb1,5,500,0.3"))
    Path("results/sweeps/gittins-best.csv").unlink()  # that sweep is not at its end now
    shutil.rmtree("runs")
    table1("--cells", "k5-n500", "--agents", "random")
    long = [row for row in rows() if row["episodes"] == "500"]
    specs = {row["agent"]: row["spec"] for row in long}
    assert (specs["ucb1"], specs["gittins"]) == ("ucb1(c=0.3)", "gittins(gamma=0.9)")
    best = max(long, key=lambda row: float(row["mean"]))["agent"]
    assert {row["against"] for row in long} == {best} == {"ucb1"}  # was gittins
    assert [row for row in rows() if row["episodes"] == "10"] == before[:4]
    main(["report", "table1", "--docs", "docs"])
    with pytest.raises(SystemExit, match=r"gittins-best.csv is missing"):
        table1("--cells", "k5-n500", "--agents", "gittins")


def test_a_row_of_what_is_not_installed_cannot_be_compared(workplace: Path) -> None:
    table1("--cells", "k5-n10", "--agents", "random", "ucb1")
    before = Path("results/table1.csv").read_text()
    row = before.splitlines()[1].replace("random,random", "rl2,bandit-k5-n10")
    Path("results/table1.csv").write_text(f"{before}{row}\n")
    with pytest.raises(SystemExit, match=r"bandit-k5-n10 has a row .*pip install .*--out"):
        table1("--cells", "k5-n10", "--agents", "ucb1")
    table1("--cells", "k10-n10", "--agents", "ucb1")


def test_a_checkpoint_is_played_by_its_name(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table1("--cells", "k5-n10", "--agents", "rl2", "random")
    assert "bandit-k5-n10" in capsys.readouterr().out  # skipped, and how to get it
    env = make_trials("bandit", n_envs=8, episodes=10, arms=5)
    model = RL2PPO("GRUPolicy", env, policy_kwargs={"hidden_size": 4})
    told = {"task": "bandit", "options": {"arms": 5}, "episodes": 10}
    model.save_agent("agent.safetensors", seconds=7, hardware="abacus", **told)
    files = {"bandit-k5-n10": Path("agent.safetensors")}
    monkeypatch.setattr(AGENTS, "names", lambda: list(files))
    monkeypatch.setattr(AGENTS, "load", lambda name: files[name])
    table1("--cells", "k5-n10", "--agents", "rl2")
    (row,) = [row for row in rows() if row["agent"] == "rl2"]
    assert (row["group"], row["seconds"], row["hardware"]) == ("RL from scratch", "7", "abacus")
    assert 4 < float(row["mean"]) < 6
    files["bandit-k10-n10"] = files["bandit-k5-n10"]
    with pytest.raises(
        SystemExit, match=r"'bandit-k10-n10' was trained on .*'bandit', {'arms': 5}, 10"
    ):
        table1("--cells", "k10-n10", "--agents", "rl2")


def test_an_agent_of_another_training_than_its_name_is_refused(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_trials("bandit", n_envs=8, episodes=10, arms=5, privileged=True)
    model = RL2PPO("GRUPolicy", env, policy_kwargs={"hidden_size": 4})
    model.save_agent("agent.safetensors", task="bandit", options={"arms": 5}, episodes=10)
    monkeypatch.setattr(AGENTS, "names", lambda: ["bandit-k5-n10", "bandit-k5-n10-privileged"])
    monkeypatch.setattr(AGENTS, "load", lambda name: Path("agent.safetensors"))
    with pytest.raises(SystemExit, match="'bandit-k5-n10' tells of privileged RL, where rl2 is RL"):
        table1("--cells", "k5-n10", "--agents", "rl2")
    table1("--cells", "k5-n10", "--agents", "rl2-privileged")
    assert [(row["agent"], row["group"]) for row in rows()] == [("rl2-privileged", "privileged RL")]


def test_gaps_of_five_arms_and_500_pulls(workplace: Path) -> None:
    table1("--cells", "k5-n500", "--agents", "random", "ucb1")
    shares = {row["gap_from"]: row for row in rows("table1-gaps") if row["agent"] == "ucb1"}
    assert sum(int(row["trials"]) for row in shares.values()) == 300
    assert float(shares["0.3"]["share"]) > 0.95 > float(shares["0.01"]["share"])
    assert len({row["first_pull"] for row in rows("table1-adaptation")}) <= 60
