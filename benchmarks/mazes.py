"""Steps per second of ViZDoom mazes with everything, on one core and on several.

Trials of two episodes with random actions: engine, downscaling, rewards, maze changes and
TrialWrapper. In rounds that take turns, so that a noisy machine troubles all alike:

- one engine, then several in threads of one process, then as many in processes of their own;
- the parts: the engine alone, with the screen fetched, MazeEnv, and MazeEnv in trials.

"Python" and "engine" are processor time a step. Where other programs keep the cores busy, only the
ratios mean something: to the engine alone, and to one engine in trials.

    python benchmarks/mazes.py [--engines 2] [--steps 4000] [--rounds 3] [--size small]

With ``--training``: steps per second of learning, from the engine and from ``raycast-maze``, and
where their time goes; of the latter's simulation alone, too.

    python benchmarks/mazes.py --training

With ``--soak CHANGES`` one engine plays so many trials of 42 steps, each in another maze: whether
its memory grows, whether it lives, and which files it leaves.

    python benchmarks/mazes.py --soak 5000
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import queue
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from rl2_vizdoom import VizdoomMaze
from rl2_vizdoom.engine import Engine
from rl2_vizdoom.env import MazeEnv, reduce
from rl2_vizdoom.folder import process_folder
from tqdm import tqdm

from rl2_sb3 import RL2PPO, TrialWrapper, make_trials

TICK = os.sysconf("SC_CLK_TCK")
Step = Callable[[int], Any]


class Cost(NamedTuple):
    """What a number of steps took."""

    begin: float  # seconds, of a clock that all processes share
    end: float
    python: float  # seconds of processor time in this thread
    engine: float  # and in the engine's process


def engine_seconds(pid: int) -> float:
    """Processor time of an engine's process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def make(part: str, tasks: VizdoomMaze) -> tuple[Engine, Step]:
    """An engine, and what takes a step with it as far as ``part`` goes."""
    env = tasks.make_env()
    engine = env._engine
    if part in ("engine", "+ screen", "+ downscale"):
        engine.play(0)
        game, actions = engine._game, engine._actions
        assert game is not None
        steps: dict[str, Step] = {
            "engine": lambda action: game.make_action(actions[action], tasks.frame_skip),
            "+ screen": engine.act,
            "+ downscale": lambda action: reduce(engine.act(action)[0]),
        }
        return engine, steps[part]
    if part == "MazeEnv":
        return engine, episodes(env)
    trial = TrialWrapper(env, 2, tasks)
    trial.reset(seed=0)

    def step(action: int) -> None:
        if trial.step(action)[2]:
            trial.reset()

    return engine, step


def episodes(env: MazeEnv) -> Step:
    """Episodes in one maze after the other."""
    env.reset(options={"task": 0})

    def step(action: int) -> None:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset(options={"task": int(env.np_random.integers(len(env.mazes)))})

    return step


def drive(part: str, tasks: VizdoomMaze, steps: int, ready: Callable[[], Any]) -> Cost:
    """Take steps with an engine of one's own, when all are ready."""
    engine, step = make(part, tasks)
    actions = np.random.default_rng(0).integers(3, size=steps).tolist()
    for action in actions[:200]:
        step(action)
    ready()
    engine_before, python_before = engine_seconds(engine.pid), time.thread_time()
    begin = time.monotonic()
    for action in actions:
        step(action)
    end = time.monotonic()
    python = time.thread_time() - python_before
    cost = Cost(begin, end, python, engine_seconds(engine.pid) - engine_before)
    engine.close()
    return cost


def drive_into(results: Any, *args: Any) -> None:
    """:func:`drive` in a thread or a process."""
    results.put(drive(*args))


def together(kind: str, engines: int, tasks: VizdoomMaze, steps: int) -> list[Cost]:
    """Several engines at once, in threads or in processes."""
    if kind == "threads":
        barrier, results = threading.Barrier(engines), queue.Queue[Cost]()
        make_worker: Any = threading.Thread
    else:
        context: Any = multiprocessing.get_context("spawn")
        barrier, results, make_worker = context.Barrier(engines), context.Queue(), context.Process
    args = (results, "trials", tasks, steps, barrier.wait)
    workers = [make_worker(target=drive_into, args=args) for _ in range(engines)]
    for worker in workers:
        worker.start()
    costs = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    return costs


def reset_seconds(tasks: VizdoomMaze, resets: int) -> float:
    """Median time in which a trial begins, nearly always with another maze."""
    trial = TrialWrapper(tasks.make_env(), 2, tasks)
    trial.reset(seed=0)
    seconds = []
    for _ in range(resets):
        begin = time.perf_counter()
        trial.reset()
        seconds.append(time.perf_counter() - begin)
    trial.close()
    return median(seconds)


TRAINED = ("vizdoom-maze", 32, 2), ("raycast-maze", 64, 4)
"""The task, how many trials at once, and how many rollouts are measured, after one that is not."""


def training(size: str) -> None:
    """Learn, and print the processor's time of a step, part by part."""
    print("| task | steps/s | environments, µs | acting, µs | learning, µs | the rest, µs |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, columns, rollouts in TRAINED:
        trials = make_trials(
            name, columns, 2, seed=0, workers="threads", privileged=True, size=size
        )
        model = RL2PPO(
            "CnnGRUPolicy",
            trials,
            n_steps=256,
            batch_size=8 * 256,
            n_epochs=2,
            policy_kwargs={"hidden_size": 256, "shared": True, "precision": "bf16"}
            | {"prediction_coef": 0.5},
            threads=1,
        )
        block = columns * model.n_steps
        model.learn(block)
        seconds: dict[str, float] = {}
        timed(model.env, "step_wait", seconds)
        timed(model.policy, "act", seconds)
        timed(model, "train", seconds)
        begin = time.perf_counter()
        model.learn(rollouts * block, reset_num_timesteps=False)
        all_of_it = time.perf_counter() - begin
        parts = [1e6 * each / (rollouts * block) for each in (*seconds.values(), all_of_it)]
        rest = parts[-1] - sum(parts[:-1])
        cells = [name, f"{1e6 / parts[-1]:.0f}", *(f"{each:.0f}" for each in (*parts[:-1], rest))]
        print("| " + " | ".join(cells) + " |")
        trials.close()
    drawn = make_trials("raycast-maze", 256, 2, seed=0, size=size)
    drawn.reset()
    actions = np.random.default_rng(0).integers(3, size=(200, 256))
    begin = time.perf_counter()
    for each in actions:
        drawn.step(each)
    print(f"\nraycast-maze alone: {actions.size / (time.perf_counter() - begin):.0f} steps/s.")


def timed(owner: Any, name: str, seconds: dict[str, float]) -> None:
    """Count how long calls of a method take."""
    method = getattr(owner, name)
    seconds[name] = 0.0

    def call(*args: Any, **kwargs: Any) -> Any:
        begin = time.perf_counter()
        result = method(*args, **kwargs)
        seconds[name] += time.perf_counter() - begin
        return result

    setattr(owner, name, call)


def soak(tasks: VizdoomMaze, changes: int) -> None:
    """Play trials of two episodes of 21 steps, and print what they cost."""
    places = Path.cwd(), Path(tempfile.gettempdir()), Path("/dev/shm"), Path.home()
    before = {path for place in places for path in place.glob("*")}
    env = tasks.make_env()
    trial = TrialWrapper(env, 2, tasks)
    trial.reset(seed=0)
    pid, memory, steps = env._engine.pid, [], 0
    actions = np.random.default_rng(0).integers(3, size=42 * changes).tolist()
    for _ in tqdm(range(changes), "trials"):
        over = False
        while not over:
            over = trial.step(actions[steps])[2]
            steps += 1
        trial.reset()
        memory.append(resident(pid))
    lives = env._engine.pid == pid
    trial.close()
    after = {path for place in places for path in place.glob("*")}
    left = sorted(str(path) for path in after - before if path != process_folder())
    tenth = changes // 10
    grown = (memory[-1] - memory[tenth]) / (changes - 1 - tenth)
    print(
        f"{steps:,} steps, {changes:,} changes of the maze, two resets in each: the engine's "
        f"memory grew by {grown:.2f} kB a change after the first tenth, to {memory[-1]:,.0f} kB. "
        f"{'It is the same engine.' if lives else 'It died.'} Files left: {left or 'none'}."
    )


def resident(pid: int) -> float:
    """Memory of a process, kB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e3


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", type=int, default=2, help="engines at once (default: 2)")
    parser.add_argument("--steps", type=int, default=4000, help="steps a round (default: 4000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument("--size", choices=["small", "large"], default="small", help="of the mazes")
    parser.add_argument("--training", action="store_true", help="measure learning")
    parser.add_argument("--soak", type=int, metavar="CHANGES", help="of the maze, in one engine")
    args = parser.parse_args()
    if args.soak is not None:
        if args.soak < 10:
            parser.error("--soak: 10 changes at least, to see what grows.")
        soak(VizdoomMaze(size=args.size, horizon=21), args.soak)
        return
    if args.training:
        training(args.size)
        return
    tasks, steps, engines = VizdoomMaze(size=args.size), args.steps, args.engines
    parts = ("engine", "+ screen", "+ downscale", "MazeEnv", "trials")
    costs: dict[str, list[list[Cost]]] = {}
    resets = []
    for _ in range(args.rounds):
        for part in parts:
            costs.setdefault(part, []).append([drive(part, tasks, steps, lambda: None)])
        for kind in ("threads", "processes"):
            name = f"{engines} engines in {kind}"
            costs.setdefault(name, []).append(together(kind, engines, tasks, steps))
        resets.append(reset_seconds(tasks, 200))
    print("| | steps/s | to the engine | to one in trials | Python, µs | engine, µs |")
    print("|---|--:|--:|--:|--:|--:|")
    rates = {
        name: median(
            len(r) * steps / (max(c.end for c in r) - min(c.begin for c in r)) for r in rounds
        )
        for name, rounds in costs.items()
    }
    for name, rounds in costs.items():
        used = [median(1e6 * sum(c[k] for c in r) / len(r) / steps for r in rounds) for k in (2, 3)]
        ratios = [f"{rates[name] / rates[other]:.2f}" for other in ("engine", "trials")]
        cells = [name, f"{rates[name]:.0f}", *ratios, *(f"{each:.1f}" for each in used)]
        print("| " + " | ".join(cells) + " |")
    print(f"\nA trial begins in {1e3 * median(resets):.2f} ms ({args.size} mazes).")


if __name__ == "__main__":
    main()
