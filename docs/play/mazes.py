"""Recordings of a maze agent for the play page, kept in mazes.json.

The first test mazes are played, a trial of each. The page has those in which the second episode
saved most steps, those in the middle, and those in which it lost most: good and bad, as in the
paper's Figure 6.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch as th
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from rl2_sb3 import TrialWrapper, load_agent
from rl2_sb3.files import replace_text
from rl2_sb3.trials.play import Predictor

if TYPE_CHECKING:
    from rl2_vizdoom.env import MazeEnv

RECORDINGS = Path(__file__).with_name("mazes.json")
RESULTS = Path(__file__).parents[2] / "plugins/rl2-paper/results/table3-successes.csv"
AGENT, PLAYED_AS = "maze-small-privileged", "rl2-privileged"
"""The agent's name, and its name in the results of Table 3."""
MAZES, EPISODES, SEED = 100, 2, 0
"""Test mazes that are played, episodes of a trial as in training, and the seed of the actions."""
KINDS = ("saved most", "in the middle", "lost most")
EACH = 4
"""Trials of each kind."""
ACROSS = 10
"""Views in a row of an episode's sheet."""
QUALITY = 45
"""Of the sheets, WebP's, from 0 to 100."""

Views = list[NDArray[np.uint8]]


def record(out: Path = RECORDINGS, mazes: int = MAZES) -> Path:
    """Play a trial in each of the first test mazes, and write it down.

    It needs rl2-vizdoom and rl2-checkpoints.

    :param out: where
    :param mazes: how many
    :return: ``out``
    """
    from rl2_vizdoom.tasks import VizdoomMaze

    agent, tasks = load_agent(AGENT), VizdoomMaze(split="test")
    env = tasks.make_env()
    try:
        with th.random.fork_rng():
            th.manual_seed(SEED)
            trials = [
                {
                    "maze": number,
                    "plan": str(tasks.plans()[number]).split(),
                    "episodes": play(agent, env, TrialWrapper(env, EPISODES, tasks, [number])),
                }
                for number in tqdm(range(mazes), "mazes")
            ]
    finally:
        env.close()
    told = {"agent": AGENT, "seed": SEED, "played": mazes, "limit": tasks.limit()}
    kinds = [{"name": name, "trials": each} for name, each in chosen(trials).items()]
    replace_text(out, json.dumps({**told, "kinds": kinds}, separators=(",", ":")) + "\n")
    return out


def chosen(trials: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The trials of each kind, by the steps that the second episode saved."""
    ranked = sorted(trials, key=saved, reverse=True)
    middle = (len(ranked) - EACH) // 2
    parts = ranked[:EACH], ranked[middle : middle + EACH], ranked[: -EACH - 1 : -1]
    return dict(zip(KINDS, parts, strict=True))


def saved(trial: dict[str, Any]) -> int:
    """Steps by which the second episode was shorter; one that failed took all there are."""
    first, second = (len(episode["way"]) for episode in trial["episodes"])
    return first - second


def play(agent: Predictor, env: MazeEnv, trial: TrialWrapper) -> list[dict[str, Any]]:
    """Play one trial; one that is lost is played again.

    :return: of each episode: ``way``, before the first step and after each, places in blocks from
        the plan's upper left corner, to the right and down, and the angle in degrees, of
        counterclockwise turns from the right; ``found``, whether the last step reached the goal;
        ``views``, a sheet of what the agent saw before each step
    """
    from rl2_vizdoom.wad import BLOCK, centre

    def place(x: float, y: float, angle: float) -> list[float]:
        return [round(x / BLOCK, 3), round(-y / BLOCK, 3), round(angle, 1)]

    obs, info = trial.reset(seed=SEED)
    first = place(*centre(env.maze.start), 0.0)
    way, views, episodes = [first], Views(), list[dict[str, Any]]()
    state: Any = None
    over = False
    while not over:
        views.append(obs["observation"])
        action, state = agent.predict(obs, state)
        obs, _, over, lost, info = trial.step(action)
        if lost:
            (obs, _), state, way, views, episodes = trial.reset(), None, [first], [], []
            continue
        way.append(place(*info["position"]))
        if "is_success" in info:
            found = bool(info["is_success"])
            episodes.append({"way": way, "found": found, "views": sheet(views)})
            way, views = [first], []
    return episodes


def sheet(views: Sequence[NDArray[np.uint8]]) -> str:
    """Pictures in rows of :data:`ACROSS`, as WebP in base64.

    :param views: each ``(height, width, 3)``
    """
    height, width = views[0].shape[:2]
    image = Image.new("RGB", (ACROSS * width, -(-len(views) // ACROSS) * height))
    for i, view in enumerate(views):
        image.paste(Image.fromarray(view), (i % ACROSS * width, i // ACROSS * height))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY, method=6)
    return base64.b64encode(file.getvalue()).decode("ascii")


def recorded(path: Path = RECORDINGS) -> dict[str, Any]:
    """What :func:`record` wrote, with ``mean_lengths``: of all test mazes, in Table 3."""
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {**told, "across": ACROSS, "mean_lengths": mean_lengths()}


def mean_lengths() -> list[float]:
    """Mean steps to the goal in the small test mazes, successes alone, episode by episode."""
    with RESULTS.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["agent"] == PLAYED_AS]
    small = [row for row in rows if row["options"].startswith("size=small split=test ")]
    return [float(row["length"]) for row in small[:EPISODES]]
