"""Plugins from outside: distributions of their own, installed into an environment of their own."""

import csv
import re
from pathlib import Path

import pytest

from rl2_sb3.agent_file import describe_agent
from rl2_sb3.signals import learned_from, training
from tests.installing import Install, installer

PLUGINS = Path(__file__).parents[1] / "plugins"
AGENTS = sorted((PLUGINS / "rl2-checkpoints" / "rl2_checkpoints").glob("*.safetensors"))
RESULTS = PLUGINS / "rl2-paper" / "results"
LEARNED = {
    "": "RL from scratch",
    "privileged": "privileged RL",
    "imitation": "imitation",
    "imitation-rl": "RL after imitation",
}
OF_CELLS = [
    f"bandit-{each}-imitation-rl" for each in ("k5-n100", "k10-n100", "k50-n100", "k50-n500")
]
"""Agents with a cell for each arm although their names do not tell: the README does."""
MEMORIES = ("fast-weights", "action-gru", "transition-graph")

install = pytest.fixture(installer)


def name_parts(path: Path) -> tuple[str, str, str]:
    """The task, the memory and what was learned from, of an agent's name."""
    found = re.match(
        rf"(.+?)(?:-({'|'.join(MEMORIES)}))?(?:-(privileged|imitation|imitation-rl))?$", path.stem
    )
    assert found is not None
    task, memory, ending = found.groups(default="")
    return task, memory, ending


USE = """\
import sys

from rl2_sb3 import RL2TRPO, check_tasks, make_trials
from rl2_sb3.registry import TASKS

assert "gaussian-bandit" in TASKS.names()
assert "bandit" in TASKS.names()
assert TASKS.distribution("gaussian-bandit") == "rl2-gaussian 1.0"
assert "rl2_gaussian" not in sys.modules
check_tasks(TASKS.load("gaussian-bandit")(noise=0.5))

trials = make_trials("gaussian-bandit", 8, episodes=4, seed=0, arms=3)
RL2TRPO("GRUPolicy", trials, policy_kwargs={"hidden_size": 8}, seed=0).learn(2 * 8 * 4)

model = RL2TRPO("GRUPolicy", "gaussian-bandit", policy_kwargs={"hidden_size": 8}, device="cpu")
model.learn(2 * model.n_steps * model.n_envs)
assert model.num_timesteps == 2 * 500 * 10
print("trained")
"""


def test_a_plugin_trains_with_the_same_commands(install: Install) -> None:
    python = install(PLUGINS / "rl2-gaussian")
    assert python("-c", USE).endswith("trained\n")
    train = "train gaussian-bandit --arms 3 --steps 64 --n-envs 8 --episodes 4 --hidden-size 4"
    python("-m", "rl2_sb3", *train.split(), "--no-progress", "--out", "run")
    evaluate = "evaluate run --against random --trials 20"
    python("-m", "rl2_sb3", *evaluate.split())


LIST_AND_PLAY = """\
import re

from rl2_sb3 import load_agent
from rl2_sb3.agent_file import agent_file
from rl2_sb3.cli import main
from rl2_sb3.registry import AGENTS

for name in AGENTS.names():
    if not AGENTS.distribution(name).startswith("rl2-checkpoints "):
        continue
    info = load_agent(name).info
    sizes = re.match("(?:bandit-k([0-9]+)|mdp)-n([0-9]+)", name)
    arms, episodes = sizes.groups() if sizes else (None, 2)
    assert info["options"].get("arms") == (arms and int(arms)), (name, info)
    assert info["episodes"] == int(episodes), (name, info)
    print("agent", name, agent_file(name).stat().st_size, f"{info['steps']:,}")
main(["agents"])
main(["evaluate", "bandit-k5-n10", "--against", "random", "--trials", "500", "--out", "played"])
"""


def test_agents_are_loaded_by_name(install: Install, tmp_path: Path) -> None:
    """The files, the entry points and the README's table name the same agents."""
    printed = install(PLUGINS / "rl2-checkpoints")("-c", LIST_AND_PLAY)
    steps = {}
    for name, size, count in re.findall(r"^agent (\S+) (\S+) (\S+)$", printed, re.MULTILINE):
        steps[name] = count
        assert int(size) < 1 << 22
    folder = PLUGINS / "rl2-checkpoints"
    files = {path.stem for path in AGENTS}
    told = re.findall(r"^\| `(.+?)` \|", (folder / "README.md").read_text(), re.MULTILINE)
    assert steps.keys() == files == set(told)
    for name, count in steps.items():
        info = describe_agent(folder / "rl2_checkpoints" / f"{name}.safetensors")["info"]
        words = learned_from(info)
        line = rf"^{name} +(bandit|tabular-mdp|vizdoom-maze) .* {count} +{words} *$"
        assert re.search(line, printed, re.MULTILINE)
    assert re.search("^ +rl2-checkpoints 0.2.0 *$", printed, re.MULTILINE)
    rows = csv.DictReader((tmp_path / "played" / "evaluation.csv").read_text().splitlines())
    means = {row["agent"]: float(row["mean"]) for row in rows}
    assert max(means.values()) > 6.3 > 5.3 > means["random"]


@pytest.mark.parametrize("path", AGENTS, ids=lambda path: path.stem)
def test_an_agents_name_tells_what_it_learned_from(path: Path) -> None:
    info = describe_agent(path)["info"]
    _, _, ending = name_parts(path)
    assert training(info) == LEARNED[ending]
    if training(info) == "RL after imitation":
        assert learned_from(info).endswith(", then reward, privileged")


@pytest.mark.parametrize("path", AGENTS, ids=lambda path: path.stem)
def test_an_agents_row_is_that_of_its_file(path: Path) -> None:
    """Steps, seconds and version, which the first files have as 0.1.0 and one as its last run's."""
    readme = (PLUGINS / "rl2-checkpoints" / "README.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| `{path.stem}` \|(.*)\|$", readme, re.MULTILINE)
    *_, steps, seconds, version = (part.strip() for part in row.split("|"))
    info = describe_agent(path)["info"]
    assert int(steps.replace(" ", "")) == info["steps"]
    assert int(seconds.replace(" ", "")) == round(info["seconds"])
    assert version == info["version"] or info["version"] == "0.1.0" or " to " in version


@pytest.mark.parametrize("path", AGENTS, ids=lambda path: path.stem)
def test_an_agents_name_tells_its_memory(path: Path) -> None:
    """Without a memory in the name it is a GRU, and fast weights where an MDP's has an ending."""
    task, memory, ending = name_parts(path)
    usual = "fast-weights" if task.startswith("mdp-") and ending else "gru"
    if path.stem in OF_CELLS:
        usual = "action-gru"
    assert describe_agent(path)["network"].get("memory", "gru") == (memory or usual)


def test_the_agents_means_are_those_of_the_tables() -> None:
    means: dict[str, float] = {}
    for table in ("table1", "table2"):
        text = (RESULTS / f"{table}.csv").read_text()
        means |= {row["spec"]: float(row["mean"]) for row in csv.DictReader(text.splitlines())}
    played = (RESULTS / "table3.csv").read_text()
    for row in csv.DictReader(played.splitlines()):
        large = row["agent"] == "rl2-large"  # which is told of in the mazes that it trained on
        if row["options"].startswith("size=large" if large else "size=small"):
            ending = row["agent"].removeprefix("rl2")
            name = "maze-large-privileged" if large else f"maze-small{ending}"
            means[name] = float(row["mean"])
    readme = (PLUGINS / "rl2-checkpoints" / "README.md").read_text()
    told = re.findall(r"^\| `(.+?)` \| (-?[\d.]+) ± ", readme, re.MULTILINE)
    assert len(told) == readme.count("\n| `")
    for name, mean in told:
        assert f"{means[name]:.{len(mean.partition('.')[2])}f}" == mean, name
