"""What an environment reports to trials beyond Gymnasium, in one place: ``info["rl2"]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl2_sb3.registry import did_you_mean

EPISODE = "episode"
"""Where Monitor tells an episode's return and length, and SB3 reads them."""
LONGEST = 30
"""Characters of a metric's name: SB3's table in the terminal cuts longer ones."""
KEY = "rl2"
"""Of an ``info``; nothing under another key is taken for ours, whatever it is called."""


class StepInfo(NamedTuple):
    """What a reset or a step reports; an environment of a :class:`GymTasks` gives it as a dict.

    ``info["rl2"] = {"training_reward": 0.3, "success": True}``; each entry may be left out.
    """

    training_reward: float | None = None
    """What privileged training learns from in the reward's place."""
    privileged_observation: ArrayLike | None = None
    """What only a simulator knows, ``(privileged_size,)``, in privileged trials."""
    success: bool | None = None
    """Whether the episode that ends with this step succeeded."""
    lost: bool = False
    """Whether the simulator died: the trial is cut here and played again."""
    metrics: Mapping[str, float] | None = None
    """What to report of the episode that ends with this step, by name; NaN is not known."""


NOTHING = StepInfo()


def read_step_info(info: Mapping[str, Any], declared: bool) -> StepInfo:
    """Read what an environment's ``info`` reports.

    ``is_success`` is read too, as stable-baselines3 reads it, where it is a truth value.

    :param declared: the environment is of a :class:`GymTasks`; of any other, ``info["rl2"]`` is
        not ours
    :raises RuntimeError: an entry that there is not
    """
    told = info.get(KEY, {}) if declared else {}
    success: Any = info.get("is_success")
    if not told and success is None:
        return NOTHING
    unknown = [str(name) for name in told if name not in StepInfo._fields]
    if unknown:
        hint = did_you_mean(unknown[0], list(StepInfo._fields))
        raise RuntimeError(
            f'info["{KEY}"] has no entry {unknown[0]!r}.{hint} '
            f"There are: {', '.join(StepInfo._fields)}."
        )
    step = StepInfo(**told)
    for name in ("success", "lost"):
        value = getattr(step, name)
        if value is not None and not _is_truth(value):
            raise RuntimeError(
                f'info["{KEY}"]["{name}"] = {value!r} is neither true nor false: give a bool.'
            )
    if step.training_reward is not None and not _is_finite(step.training_reward):
        raise RuntimeError(
            f'info["{KEY}"]["training_reward"] = {step.training_reward!r} is not a finite number.'
        )
    if step.metrics is not None:
        step = step._replace(metrics=_read_metrics(step.metrics))
    if step.success is None and _is_truth(success):
        return step._replace(success=bool(success))
    return step


def _read_metrics(metrics: Any) -> dict[str, float]:
    if not isinstance(metrics, Mapping):
        raise RuntimeError(
            f'info["{KEY}"]["metrics"] = {metrics!r} is no dict: give {{"name": number}}.'
        )
    for name, value in metrics.items():
        flaw = metric_flaw(name, np.asarray(value), ())
        if flaw is not None:
            raise RuntimeError(f'info["{KEY}"]["metrics"] has {flaw}')
        if name == "success":
            raise RuntimeError(f'info["{KEY}"]["metrics"] has "success": give it beside "metrics".')
    return {name: float(value) for name, value in metrics.items()}


def metric_flaw(name: Any, value: NDArray[Any], shape: tuple[int, ...]) -> str | None:
    """What is wrong with a metric, and the way out; ``None`` where nothing is."""
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST:
        return f"the name {name!r}: use a string of 1 to {LONGEST} characters."
    way_out = f"give finite numbers of shape {shape}, or NaN."
    if value.shape != shape:
        return f"{name!r} of shape {value.shape}: {way_out}"
    if value.dtype.kind not in "biuf" or np.isinf(value).any():
        return f"{name!r} = {value!r}: {way_out}"
    return None


def _is_truth(value: Any) -> bool:
    return np.ndim(value) == 0 and not isinstance(value, str) and value in (False, True)


def _is_finite(value: Any) -> bool:
    array = np.asarray(value)
    return array.ndim == 0 and array.dtype.kind in "biuf" and bool(np.isfinite(array))


def with_ours(info: dict[str, Any], step_info: StepInfo) -> dict[str, Any]:
    """An environment's info, with the trial's entry in place of the environment's."""
    if step_info == NOTHING and KEY not in info and EPISODE not in info:
        return info
    ours = {} if step_info == NOTHING else {KEY: step_info}
    return {key: value for key, value in info.items() if key not in (KEY, EPISODE)} | ours
