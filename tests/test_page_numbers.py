"""Numbers that pages quote in tables of their own are those of the results."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
RESULTS = "plugins/rl2-paper/results"


def results(name: str, *keys: str, value: str = "mean") -> dict[tuple[str, ...], float]:
    """A column of a CSV file, by others."""
    with (ROOT / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {tuple(row[key] for key in keys): float(row[value] or "nan") for row in rows}


def row(page: str, begin: str) -> list[float]:
    """The numbers of a table's row, without their errors."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    (found,) = re.findall(rf"^\| {re.escape(begin)}[^|]*\|(.*)\|$", text, re.MULTILINE)
    cells = [cell.partition("±")[0].replace(" ", "").strip() for cell in found.split("|")]
    return [float(cell) for cell in cells if cell]


def test_what_features_and_values_brought() -> None:
    returns = results(f"{RESULTS}/outer_loop.csv", "agent")
    seconds = results(f"{RESULTS}/outer_loop.csv", "agent", value="seconds")
    for begin, agent in {
        "a GRU for the policy": "RL2, separate GRUs",
        "+ the product": "RL2, + action x reward",
        "+ whole returns": "RL2, + whole returns",
        "+ sums": "RL2, + sums",
        "+ privileged": "RL2, + privileged",
    }.items():
        expected = [returns[agent,], seconds[agent,]]
        assert row("training.md", begin) == pytest.approx(expected, abs=0.06), begin


def test_what_more_training_brought() -> None:
    returns = results(f"{RESULTS}/late_training.csv", "agent")
    for begin, agent in {
        "λ .95, 1000": "sums, on",
        "λ .8 ": "sums, on, lambda .8",
        "λ .99 ": "sums, on, lambda .99",
        "λ .99, 4000": "sums, on, lambda .99, 4 x trials",
        "entropy .06": "sums, on, entropy .06",
        "learning rate .003": "sums, on, learning rate .003",
        "500 trials a rollout": "sums, on, half the trials, a quarter of the minibatch",
    }.items():
        assert row("training.md", begin) == pytest.approx([returns[agent,]], abs=0.0006), begin
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    for agent in ("sums", "GRU, on, minibatches of 25", "GRU, on, 2000 trials a rollout"):
        assert f"{returns[agent,]:.2f}" in text


def test_what_was_tried_on_bandits() -> None:
    """Each row whose agent begins with an installed one's name stands in the page of the paper."""
    path = f"{RESULTS}/late_training.csv"
    returns, steps = results(path, "agent"), results(path, "agent", value="steps_trained")
    tried = [agent for (agent,) in returns if agent.startswith("bandit-")]
    shown = [agent for agent in tried if not agent.endswith("untrained there")]
    assert len(shown) > 10
    for agent in shown:
        told = row("../plugins/rl2-paper/README.md", f"`{agent.replace(',', '`,', 1)} ")
        assert told == [round(steps[agent,] / 1e6, 1), round(returns[agent,], 2)], agent


def test_how_near_agents_of_bandits_come_to_gittins() -> None:
    """On other bandits than the table's, and more of them."""
    path, page = f"{RESULTS}/other_bandits.csv", "../plugins/rl2-paper/README.md"
    gittins = "gittins(method='finite-horizon')"
    for begin, ending, value, sign in (
        *(
            (f"`bandit-kK-n100-{each}`", f"-{each}", "difference", -1)
            for each in ("action-gru", "action-gru-privileged", "imitation", "imitation-rl")
        ),
        ("finite-horizon Gittins, its return", None, "mean", 1),
    ):
        found = results(path, "options", "agent", value=value)
        expected = [
            sign
            * found[
                f"arms={arms} alpha=1.0 beta=1.0",
                gittins if ending is None else f"bandit-k{arms}-n100{ending}",
            ]
            for arms in (5, 10, 50)
        ]
        assert row(page, begin) == pytest.approx(expected, abs=0.00051), begin


def test_what_memories_learn() -> None:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    found = results("benchmarks/memories.csv", "part", "memory", "figure", value="value")
    for (part, memory, figure), value in found.items():
        if part != "speed" and figure == "return":
            assert f"`{memory}` {value:.2f}" in text


@pytest.mark.parametrize(
    ("preset", "network", "line"),
    [
        ("bandit-k10-n100", "action-sums", "| bandits, 10 arms, 100 pulls |"),
        ("mdp-n25-fast-weights", "pair-sums", "| random MDPs, 25 episodes, γ 1 |"),
    ],
)
def test_what_value_networks_explain(preset: str, network: str, line: str) -> None:
    path = f"{RESULTS}/value_networks.csv"
    found = results(path, "preset", "value_network", value="explained_variance")
    of_sums, of_set = (f"{found[preset, name]:.3f}"[1:] for name in ("sums", network))
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert f"{line} {of_sums} | `{network}` {of_set} |" in text


@pytest.mark.parametrize("page", ["docs/training.md", "plugins/rl2-paper/README.md"])
def test_what_other_seeds_came_to(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = results(f"{RESULTS}/seeds.csv", "agent", "trials")
    assert all(trials == ("1000" if "maze" in agent else "10000") for agent, trials in found)
    for mean in found.values():
        assert f"{mean:.2f}" in text


def test_what_seeds_of_mazes_came_to() -> None:
    """The first is the agent of the table; no longer than the first are second episodes."""
    text = (ROOT / "plugins/rl2-paper/README.md").read_text(encoding="utf-8")
    agents = ["rl2", *(f"maze-small-seed-{seed}" for seed in range(1, 5))]
    for begin, column, digits, scale, both in (
        ("finds the goal, first and second episode, %", "success", 1, 100, True),
        ("in steps", "length", 1, 1, True),
        ("second episode no longer than the first, %", "no_longer_than_first", 1, 100, False),
    ):
        found: dict[tuple[str, ...], float] = {}
        for table in ("table3-successes", "seeds-successes"):
            keys = "options", "agent", "episode"
            rows = results(f"{RESULTS}/{table}.csv", *keys, value=column)
            found |= {key[1:]: value for key, value in rows.items() if "size=small " in key[0]}
        told = [
            [round(scale * found[agent, episode], digits) for episode in ("1", "2")[not both :]]
            for agent in agents
        ]
        (line,) = re.findall(rf"^\| {re.escape(begin)} \|(.*)\|$", text, re.MULTILINE)
        cells = [[float(each) for each in cell.split(",")] for cell in line.split("|")]
        assert cells == pytest.approx(np.array(told), abs=0.051), begin


@pytest.mark.parametrize("arms", ["5", "10"])
def test_what_training_was_told_in_bandits(arms: str) -> None:
    means = results(f"{RESULTS}/table1.csv", "arms", "episodes", "agent")
    agents = ("rl2", *(f"rl2-{end}" for end in ("privileged", "imitation", "imitation-rl")))
    expected = [means[arms, "100", agent] for agent in (*agents, "gittins-finite-horizon")]
    assert row("privileged.md", f"bandits, {arms} arms") == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize("episodes", ["10", "25"])
def test_what_training_was_told_in_mdps(episodes: str) -> None:
    means = results(f"{RESULTS}/mdp_agents.csv", "episodes", "agent")
    endings = "fast-weights", "privileged", "imitation", "imitation-rl"
    agents = [f"mdp-n{episodes}-{end}" for end in endings]
    teacher = "beb-replanning(prior='true', scaling=0.7)"
    expected = [means[episodes, agent] for agent in (*agents, teacher)]
    assert row("privileged.md", f"random MDPs, {episodes}") == pytest.approx(expected, abs=0.006)


def test_what_agents_have_in_ten_thousand_mdps() -> None:
    """In prose, as "`mdp-n10` has 141.22 ± .27" and "`mdp-n10` 141.22 ± .27"."""
    path = f"{RESULTS}/mdp_agents.csv"
    keys = "agent", "episodes", "trials"
    means, errors = results(path, *keys), results(path, *keys, value="standard_error")
    text = (ROOT / "plugins/rl2-checkpoints/README.md").read_text(encoding="utf-8")
    told = re.findall(r"`(mdp-n(\d+)[\w-]*)`(?: has)? ([\d.]+) ± ([\d.]+)", text)
    assert len(told) > 8
    for agent, episodes, mean, error in told:
        found = f"{means[agent, episodes, '10000']:.{len(mean.partition('.')[2])}f}"
        assert (found, agent) == (mean, agent)
        assert float(error) == pytest.approx(errors[agent, episodes, "10000"], abs=0.06), agent
    endings = "fast-weights", "transition-graph", "privileged", "imitation", "imitation-rl"
    agents = ("mdp-n10", *(f"mdp-n10-{ending}" for ending in endings))
    front = [means[agent, "10", "10000"] for agent in agents]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (cells,) = re.findall(r"^\| random MDPs, 10 episodes: return \|(.*)\|$", readme, re.MULTILINE)
    assert [float(number) for number in re.findall(r"\d+\.\d+", cells)[:6]] == pytest.approx(
        front, abs=0.06
    )
    in_table = results(f"{RESULTS}/table2.csv", "episodes", "agent")
    front = [in_table["100", "rl2" if not ending else f"rl2-{ending}"] for ending in ("", *endings)]
    (cells,) = re.findall(
        r"^\| random MDPs, 100 episodes, .* return \|(.*)\|$", readme, re.MULTILINE
    )
    returns = [float(number) for number in re.findall(r"\b\d{4}\b", cells)[:6]]
    assert returns == pytest.approx(front, abs=0.6)


def test_what_was_tried_in_mazes() -> None:
    """Rows of what was tried, and of the agents in Table 3 that it led to."""
    page = (ROOT / "plugins/rl2-paper/README.md").read_text(encoding="utf-8")
    advice = (ROOT / "docs/training.md").read_text(encoding="utf-8").replace("\n", " ")
    shown = {"rl2-privileged": "`maze-small-privileged`", "rl2-large": "`maze-large-privileged`"}
    told = []
    for table in ("late_training", "table3"):
        names = (f"{RESULTS}/{table}-successes.csv", "options", "agent", "episode")
        ways, shares = (results(*names, value=column) for column in ("length", "success"))
        better = results(names[0], "options", "agent", "episode", value="no_longer_than_first")
        steps = results(f"{RESULTS}/{table}.csv", "options", "agent", value="steps_trained")
        for options, agent in steps:
            size = options.split()[0].removeprefix("size=")
            if agent.startswith("maze-") or agent in shown:
                name = shown.get(agent, f"`{agent.replace(',', '`,', 1)}")
                first, second = ((options, agent, episode) for episode in "12")
                row = f"| {name} | {size} | {steps[options, agent] / 1e6:.1f} "
                row += f"| {ways[first]:.1f}, {ways[second]:.1f} "
                row += f"| {100 * shares[first]:.1f}, {100 * shares[second]:.1f} % "
                row += f"| {100 * better[second]:.1f} % |"
                told.append((row, f"{ways[first]:.1f} and {ways[second]:.1f}"))
    rows = [row for row, _ in told if "`maze-large-privileged` | small" not in row]
    assert len(rows) > 8
    assert [row for row in rows if row not in page] == []
    for row, pair in told:
        if "in large ones" not in row and "` |" not in row:
            assert pair in advice, row
    (front,) = re.findall(r"^\| mazes in pixels.*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    (best,) = [pair for row, pair in told if "`maze-small-privileged` | small" in row]
    assert f"| {best.replace(' and', ',')} (6500 mazes, " in front
