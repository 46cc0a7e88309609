"""What all runs do: begin or go on in a folder, save now and then, and end with an agent."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from rl2_sb3 import ranks
from rl2_sb3.agent_file import policy_class
from rl2_sb3.algorithms import RL2PPO, RL2TRPO
from rl2_sb3.algorithms.transfer import take_weights
from rl2_sb3.algorithms.unpickling import check_harmless
from rl2_sb3.config import FolderConfig, RunConfig
from rl2_sb3.options import flat
from rl2_sb3.provenance import hardware, version
from rl2_sb3.ranges import check_config
from rl2_sb3.runs.folder import AGENT, CHECKPOINT, check_free, check_resumed, claim, own
from rl2_sb3.runs.keeping import Keeper, Stopped
from rl2_sb3.runs.log import make_logger
from rl2_sb3.runs.telling import Lines, introduce, last_line, now, say, tell_resumed
from rl2_sb3.tracking.callback import Play, Tracked
from rl2_sb3.tracking.tracker import Tracker, begin

Model = RL2PPO | RL2TRPO
C = TypeVar("C", bound=RunConfig, contravariant=True)
TOLD = ("task", "options", "episodes", "algorithm", "teacher", "init", "seed")
TOLD_IF_SET = ("privileged", "student_share", "cost_weight")
"""Settings of a run that its agent's file has."""


class Learner(Protocol):
    """A model, and how it learns."""

    job: str
    """What it is called where it is tracked."""
    model: Model
    total: int
    """Steps of the run."""

    @property
    def play(self) -> Play | None:
        """Plays trials for the adaptation curve, where learning plays none of the agent's."""

    def reached(self) -> str:
        """What it has reached until now, in words."""

    def learn(self, callback: list[BaseCallback], progress_bar: bool) -> None:
        """Learn what is left to learn."""

    def draw(self, out: Path) -> str:
        """Draw the learning curve of a run's folder; its path, and more to say, if there is.

        :raises ValueError: nothing to draw
        """


class MakeLearner(Protocol[C]):
    """What makes a learner."""

    def __call__(self, config: C, options: dict[str, Any], checkpoint: Path | None) -> Learner:
        """Make one.

        :param options: of the task distribution
        :param checkpoint: where to go on from
        :raises ValueError: settings that make no run
        """


def run(make: MakeLearner[C], config: C, options: dict[str, Any], folder: FolderConfig) -> Path:
    """Learn in a folder, or go on there. Of several ranks, the first looks after the folder.

    :param options: of the task distribution
    :return: the agent's file
    :raises ValueError: a folder in use, another run's checkpoint, settings that make no run
    :raises Stopped: a signal ended it; what it had learned is saved
    """
    check_config(config)
    check_config(folder)
    out, checkpoint = folder.out, folder.out / CHECKPOINT
    told = {**flat(config), "options": options}
    if ranks.size() > 1:
        ranks.check_same({**told, **vars(folder), "version": version()})
    with ExitStack() as stack:

        def look() -> tuple[bool, bool]:
            """Whether the folder is there, and whether there is something to go on with."""
            held = out.is_dir()
            stack.enter_context(own(out))
            check_free(out, folder.resume, folder.overwrite)
            if folder.resume:
                check_resumed(out, told, type(config))
            going_on = folder.resume and checkpoint.exists()
            if going_on and not folder.trust:
                check_harmless(checkpoint)
            return held, going_on

        def take() -> None:
            """Make the folder ours."""
            if not held:
                stack.enter_context(own(out, make=True))
                check_free(out, folder.resume, folder.overwrite)  # another may have begun meanwhile
            done = learner.model.num_timesteps >= learner.total
            claim(out, told, folder.resume, done)

        held, going_on = ranks.together(look, first_alone=True)

        def prepare() -> Learner:
            with _no_exit():
                return make(config, options, checkpoint if going_on else None)

        learner = ranks.together(prepare)

        def track() -> Tracker:
            if not ranks.is_first():
                return Tracker(None)
            settings = {**options, **flat(config), "out": str(out)}
            resumed = out if folder.resume else None
            return stack.enter_context(begin(folder, learner.job, settings, resumed))

        tracker = ranks.together(track)
        ranks.together(take, first_alone=True)
        tracker.keep(out)
        return _learn(learner, told, type(config), folder, tracker)


def _learn(
    learner: Learner,
    told: dict[str, Any],
    kind: type[Any],
    folder: FolderConfig,
    tracker: Tracker,
) -> Path:
    """Learn what is left in a folder that is ours, and write the agent.

    :param told: the configuration, as JSON holds it
    """
    model, out = learner.model, folder.out
    steps, seconds = model.num_timesteps, model.seconds
    if ranks.is_first():
        model.set_logger(make_logger(out, steps))
        if steps:
            model.take_up_log()
    keeper = Keeper(model, out / CHECKPOINT, 60 * folder.minutes_between_checkpoints)
    bar = folder.progress and sys.stdout.isatty()
    lines = folder.progress and not bar and ranks.is_first()
    callbacks: list[BaseCallback] = [keeper]
    if tracker.active:
        callbacks.append(Tracked(tracker, learner.play))
    if folder.resume and ranks.is_first():
        tell_resumed(out, steps, learner.total)
    if folder.progress and ranks.is_first():
        introduce(out, told, kind, steps)
    if lines:
        callbacks.append(Lines(learner.total, learner.reached))
    with last_line(keeper, lines), keeper.listening():
        try:
            with _no_exit():
                learner.learn(callbacks, bar)
            keeper.conclude()
        except BaseException as error:
            _end(keeper, error)
            raise
        keeper.finish()
    model.logger.close()
    assert model.env is not None
    model.env.close()

    def tell() -> Path:
        return _tell(learner, told, out, steps, seconds, tracker)

    return ranks.together(tell, first_alone=True)


def _tell(
    learner: Learner,
    told: dict[str, Any],
    out: Path,
    steps: int,
    seconds: float,
    tracker: Tracker,
) -> Path:
    """Write the agent of a run that is over, draw its curve, and say so.

    :param steps: that were done before this process
    :param seconds: the same
    """
    model = learner.model
    agent = store_agent(model, out, told)
    tracker.agent(lambda _: agent)
    try:
        curve = learner.draw(out)
    except ValueError as error:  # no trial was over yet, or a log is damaged
        curve = f"unknown ({error})"
    say(
        f"{now()} {model.num_timesteps:,} steps, {model.num_timesteps - steps:,} of them now in "
        f"{model.seconds - seconds:.0f} s on {_machine(model)}. Agent: {agent}, "
        f"learning curve: {curve}"
    )
    return agent


def _end(keeper: Keeper, error: BaseException) -> None:
    """Save what can be saved, and say so.

    :raises Stopped: a signal was the cause, also where it was a worker that it ended
    """
    lost = isinstance(error, (EOFError, BrokenPipeError, ConnectionResetError))
    if lost and ranks.size() > 1:
        keeper.wait_for_signal()
    try:
        keeper.conclude(failed=not isinstance(error, ranks.EchoError))
    except Stopped as agreed:
        error = agreed
    except (ranks.EchoError, ranks.LostError):
        pass
    keeper.rescue()
    alone = isinstance(error, ranks.LostError)  # the first rank may be the one that is lost
    stopped = error if isinstance(error, Stopped) else None
    if not alone and (keeper.signal is not None or (lost and keeper.wait_for_signal())):
        assert keeper.signal is not None
        stopped = Stopped(keeper.signal)
    if alone or ranks.is_first():
        way_on = keeper.way_on()
        print(f"\n{way_on if stopped is None else f'{stopped}. {way_on}'}", file=sys.stderr)
    if stopped is not None:
        raise stopped from error
    if lost:
        raise RuntimeError(
            "An environment's process has died; what it said stands above."
        ) from error


@contextmanager
def _no_exit() -> Iterator[None]:
    """Let no environment or plugin end the run as if all were well.

    :raises RuntimeError: it called ``sys.exit``
    """
    try:
        yield
    except SystemExit as error:
        raise RuntimeError(
            f"The task's code ended the process: it called sys.exit({error.code!r})."
        ) from error


def load_or_make(
    kind: type[Model], trials: VecEnv, config: RunConfig, checkpoint: Path | None, **learning: Any
) -> Model:
    """The model of a checkpoint, or a new one, with the weights that it begins with.

    :param learning: how a new one learns
    """
    if checkpoint is not None:
        return kind.load(
            checkpoint, trials, device=config.device, force_reset=False, threads=config.threads
        )
    model = kind(
        policy_class(config.policy),
        trials,
        policy_kwargs=vars(config.network),
        seed=config.seed,
        device=config.device,
        threads=config.threads,
        **learning,
    )
    if config.init is not None:
        take_weights(model, config.init)
    return model


def store_agent(model: Model, out: Path, config: dict[str, Any]) -> Path:
    """Write the agent's file, with what is worth knowing of the run."""
    agent = out / AGENT
    model.save_agent(
        agent,
        **{key: config[key] for key in TOLD if config.get(key) is not None},
        **{key: config[key] for key in TOLD_IF_SET if config.get(key)},
        hardware=_machine(model),
        version=version(),
    )
    return agent


def _machine(model: Model) -> str:
    return hardware(model.device, max(model.learning_threads()))
