import csv
from pathlib import Path

import numpy as np
import pytest
from rl2_paper.definitions import Cell, comparison_group
from rl2_paper.jobs import baseline_spec
from rl2_paper.table2.lineup import TABLE2

from rl2_sb3 import RL2PPO, evaluate_trials, make_trials
from rl2_sb3.baselines.mdps import BEB, GreedyMDP
from rl2_sb3.cli import main
from rl2_sb3.registry import AGENTS
from rl2_sb3.tasks.mdps import TabularMDP

TUNED = dict.fromkeys(("ucrl2", "beb", "beb-replanning"), "scaling")
TUNED |= {"opsrl": "samples", "epsilon-greedy-mdp": "epsilon"}


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sweeps in which each prior has a best value of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(AGENTS, "names", list)  # whatever is installed here
    folder = Path("results/sweeps")
    folder.mkdir(parents=True)
    for name, parameter in TUNED.items():
        lines = [f"agent,episodes,prior,{parameter},mean,standard_error,trials"]
        low, high = (2, 3) if parameter == "samples" else (0.1, 0.2)
        for prior, value in (("paper", low), ("true", high)):
            lines += [f"{name},{cell.episodes},{prior},{value},8,1,9" for cell in TABLE2.cells]
        (folder / f"{name}-best.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def rows(name: str = "table2") -> list[dict[str, str]]:
    with Path(f"results/{name}.csv").open() as file:
        return list(csv.DictReader(file))


def table2(*args: str) -> None:
    main(["benchmark", "table2", "--workers", "1", "--trials", "30", *args])


def test_all_agents_play_the_same_mdps(workplace: Path) -> None:
    table2("--cells", "n10")
    table = {row["agent"]: row for row in rows()}
    classical = [each.name for each in TABLE2.lineup if not each.trained]
    assert list(table) == [*classical, "known-mdp"]
    assert list(rows()[0])[:2] == ["episodes", "agent"]
    assert table["beb-paper"]["spec"] == "beb(prior='paper', scaling=0.1)"
    assert table["greedy-true"]["spec"] == "greedy-mdp(prior='true')"
    tasks = TabularMDP()
    for name, agent in {
        "greedy-paper": GreedyMDP(tasks=tasks, prior="paper"),
        "greedy-true": GreedyMDP(tasks=tasks),
        "beb-paper": BEB(tasks=tasks, prior="paper", scaling=0.1),
    }.items():
        result = evaluate_trials(agent, tasks, 30, seed=0, episodes=10)
        assert float(table[name]["mean"]) == pytest.approx(result.mean)
        assert result.optimal is not None
        known = 10 * result.optimal
        assert float(table["known-mdp"]["mean"]) == pytest.approx(known.mean(), rel=1e-5)
        error = known.std(ddof=1) / np.sqrt(30)
        assert float(table["known-mdp"]["standard_error"]) == pytest.approx(error, rel=1e-3)
        curve = [row for row in rows("table2-adaptation") if row["agent"] == name]
        assert [int(row["first_episode"]) for row in curve] == list(range(1, 11))
        rewards = [float(row["reward"]) for row in curve]
        np.testing.assert_allclose(rewards, result.returns.mean(0), rtol=1e-4)
        errors = [float(row["standard_error"]) for row in curve]
        np.testing.assert_allclose(errors, result.returns.std(0, ddof=1) / np.sqrt(30), rtol=1e-2)
    assert float(table["known-mdp"]["regret"]) == pytest.approx(0, abs=1e-9)


def test_the_priors_have_comparison_groups_of_their_own(workplace: Path) -> None:
    agents = ("random", "psrl-paper", "greedy-paper", "greedy-true", "psrl-true")
    table2("--cells", "n10", "--agents", *agents)
    found = {row["agent"]: row for row in rows()}
    assert found["known-mdp"]["against"] == ""
    for one in (("psrl-paper", "greedy-paper"), ("random", "greedy-true", "psrl-true")):
        best = max(one, key=lambda name: float(found[name]["mean"]))
        assert {found[name]["against"] for name in one} == {best}
    groups = map(comparison_group, ("RL from scratch", "true prior", "paper's prior"))
    assert list(groups) == ["main", "main", "paper's prior"]


def test_what_was_played_is_not_played_again(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("--cells", "n10", "--agents", "random", "psrl-true")
    table2(*args)
    before = Path("results/table2.csv").read_text()
    monkeypatch.setattr("rl2_paper.cache.evaluate_trials", None)  # whoever plays now fails
    table2(*args)
    assert Path("results/table2.csv").read_text() == before


def test_parameters_are_those_of_the_cell_and_the_prior(workplace: Path) -> None:
    path = Path("results/sweeps/beb-best.csv")
    lines = path.read_text().replace("beb,25,true,0.2", "beb,25,true,0.5").splitlines()
    path.write_text("\n".join(lines) + "\n")
    sweeps = Path("results/sweeps")
    beb = {each.prior: each for each in TABLE2.lineup if each.spec == "beb"}
    for prior, n, spec in (
        ("paper", 10, "beb(prior='paper', scaling=0.1)"),
        ("true", 10, "beb(prior='true', scaling=0.2)"),
        ("true", 25, "beb(prior='true', scaling=0.5)"),
    ):
        assert baseline_spec(beb[prior], Cell(None, n), sweeps) == spec
    path.write_text("\n".join(line for line in lines if "true" not in line) + "\n")
    with pytest.raises(ValueError, match=r"episodes=10, prior=true, not one. Run `rl2 sw"):
        baseline_spec(beb["true"], Cell(None, 10), sweeps)


def test_a_checkpoint_of_other_mdps_is_refused(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for horizon in (10, 3):
        env = make_trials("tabular-mdp", n_envs=8, episodes=10, horizon=horizon)
        model = RL2PPO("GRUPolicy", env, policy_kwargs={"hidden_size": 4})
        options = {"states": 10, "horizon": horizon}
        told = {"task": "tabular-mdp", "options": options, "episodes": 10}
        model.save_agent(f"{horizon}.safetensors", **told)
    files = {"mdp-n10": Path("10.safetensors"), "mdp-n10-imitation": Path("3.safetensors")}
    monkeypatch.setattr(AGENTS, "names", lambda: list(files))
    monkeypatch.setattr(AGENTS, "load", lambda name: files[name])
    table2("--cells", "n10", "--agents", "rl2")
    assert [row["agent"] for row in rows()] == ["rl2", "known-mdp"]
    with pytest.raises(SystemExit, match=r"'mdp-n10-imitation' was trained on .*'horizon': 3"):
        table2("--cells", "n10", "--agents", "rl2-imitation")


def test_cells_of_another_table_are_refused() -> None:
    with pytest.raises(SystemExit, match=r"No cell 'k5-n10'.*Known: n10, n25"):
        table2("--cells", "k5-n10")
