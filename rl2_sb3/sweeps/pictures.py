"""Optuna's pictures of a sweep, of the parameters' own values."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import optuna
from matplotlib.ticker import NullFormatter
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.study import Study
from optuna.trial import TrialState as State
from optuna.trial import create_trial
from optuna.visualization import matplotlib as pictures

from rl2_sb3.sweeps.claims import Claims
from rl2_sb3.sweeps.parameters import label
from rl2_sb3.sweeps.results import AVERAGED, results

FEWEST = 3
"""Finished configurations that make a picture."""
DPI = 150


def draw(study: Claims, folder: Path) -> list[Path]:
    """Draw the history, the parameters' importance, parallel coordinates and slices.

    :return: the pictures, ``NAME-history.png`` and so on; none where there is too little to show
    """
    shown = _shown(study)
    if len(shown.trials) < FEWEST or not study.sweep.varied:
        return []
    metric, paths = study.sweep.metric, []
    for name, plot in _plots(shown, metric).items():
        with warnings.catch_warnings(), plt.rc_context({"font.size": 8}):
            warnings.simplefilter("ignore")
            logging.getLogger("matplotlib").setLevel(logging.ERROR)
            try:
                axes = np.atleast_1d(plot()).ravel()
            except (RuntimeError, ValueError):  # all have one value: nothing is more important
                plt.close("all")
                continue
            figure = axes[0].figure
            _name_axes(figure, f"{study.sweep.name}: {name.replace('-', ' ')}")
            path = folder / f"{study.sweep.name}-{name}.png"
            figure.savefig(path, dpi=DPI, bbox_inches="tight")
            plt.close("all")
            paths.append(path)
    return paths


def _plots(shown: Study, metric: str) -> dict[str, Callable[[], Any]]:
    return {
        "history": lambda: pictures.plot_optimization_history(shown, target_name=metric),
        "importance": lambda: pictures.plot_param_importances(
            shown, evaluator=_evaluator(len(shown.trials)), target_name=metric
        ),
        "parallel-coordinates": lambda: pictures.plot_parallel_coordinate(
            shown, target_name=metric
        ),
        "slices": lambda: pictures.plot_slice(shown, target_name=metric),
    }


def _evaluator(configurations: int) -> PedAnovaImportanceEvaluator:
    """What tells the best from the rest: the best ten, or, of few, the better half."""
    return PedAnovaImportanceEvaluator(target_quantile=min(0.5, 10 / configurations))


def _name_axes(figure: Any, title: str) -> None:
    """Our words for Optuna's: an episode of ours is a trial, and no configuration."""
    for axes in figure.axes:
        axes.set_title("")
        axes.set_title("", loc="left")
        axes.yaxis.set_minor_formatter(NullFormatter())  # they would reach the next axis
        for get, put in ((axes.get_xlabel, axes.set_xlabel), (axes.get_ylabel, axes.set_ylabel)):
            put(get().replace("Trial", "Configuration"))
    figure.suptitle(title)


def _shown(study: Claims) -> Study:
    """A study in memory of the configurations that were run to their end, with their values."""
    done = [each for each in results(study) if each.attempt.state == State.COMPLETE]
    done.sort(key=lambda each: each.attempt.number)
    names = [name for name in study.sweep.varied if name != AVERAGED]
    points = [{name: each.point[name] for name in names} for each in done]
    kinds = {name: _kind([point[name] for point in points]) for name in names}
    shown = optuna.create_study(direction=study.direction)
    for point, each in zip(points, done, strict=True):
        shown.add_trial(
            create_trial(
                params={
                    name: float(value)
                    if isinstance(kinds[name], FloatDistribution)
                    else label(value)
                    for name, value in point.items()
                },
                distributions=kinds,
                value=each.attempt.value,
            )
        )
    return shown


def _kind(values: list[Any]) -> BaseDistribution:
    """A distribution that has the values: numbers on an axis, logarithmic where they are far."""
    if not all(type(value) in (int, float) for value in values):
        return CategoricalDistribution(list(dict.fromkeys(map(label, values))))
    low, high = min(values), max(values)
    return FloatDistribution(low, high, log=low > 0 and high / low >= 10)
