"""W&B's distributions, drawn as Optuna draws them."""

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import yaml
from scipy import stats

from rl2_sb3.sweeps.nodes import read_yaml
from rl2_sb3.sweeps.parameters import Parameter, read_parameters

DRAWS = 2000


def read(text: str, tmp_path: Path, method: str = "random") -> Parameter:
    path = tmp_path / "parameters.yaml"
    path.write_text(f"x: {text}")
    [(_, _, parameter)] = read_parameters(read_yaml(path), method)
    return parameter


def draws(parameter: Parameter) -> np.ndarray[Any, Any]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler: Any = optuna.samplers.RandomSampler(seed=0)
    study, trial = optuna.create_study(), optuna.create_study().ask()
    chosen = [sampler.sample_independent(study, trial, "x", parameter.chosen) for _ in range(DRAWS)]
    return np.array([parameter.value(each) for each in chosen])


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("{min: 1.0, max: 3.0}", stats.uniform(1, 2)),
        ("{min: -2, max: 3, distribution: uniform}", stats.uniform(-2, 5)),
        ("{min: 0.01, max: 100, distribution: log_uniform_values}", stats.loguniform(0.01, 100)),
        ("{min: 0, max: 1, distribution: log_uniform}", stats.loguniform(1, np.e)),
        ("{min: 0, max: 1, distribution: inv_log_uniform}", stats.loguniform(1 / np.e, 1)),
        ("{min: 0.5, max: 8, distribution: inv_log_uniform_values}", stats.loguniform(0.5, 8)),
        ("{distribution: normal, mu: 3, sigma: 0.5}", stats.norm(3, 0.5)),
        ("{distribution: normal}", stats.norm()),
        ("{distribution: log_normal, mu: 1, sigma: 0.5}", stats.lognorm(0.5, scale=np.e)),
        ("{distribution: beta, a: 2, b: 5}", stats.beta(2, 5)),
    ],
)
def test_draws_are_those_of_the_distribution(text: str, distribution: Any, tmp_path: Path) -> None:
    """Kolmogorov and Smirnov's test, at a level that a right one fails once in a thousand."""
    assert stats.kstest(draws(read(text, tmp_path)), distribution.cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("text", "values", "probabilities"),
    [
        ("{min: 1, max: 3}", [1, 2, 3], [1 / 3] * 3),
        ("{values: [a, b]}", ["a", "b"], [0.5, 0.5]),
        ("{values: [a, b], probabilities: [0.1, 0.9]}", ["a", "b"], [0.1, 0.9]),
        ("{min: 0, max: 4, q: 2, distribution: q_uniform}", [0, 2, 4], [0.25, 0.5, 0.25]),
        ("{distribution: q_beta, q: 1}", [0, 1], [0.5, 0.5]),
    ],
)
def test_draws_come_as_often_as_they_should(
    text: str, values: list[Any], probabilities: list[float], tmp_path: Path
) -> None:
    drawn = draws(read(text, tmp_path))
    counts = [int((drawn == value).sum()) for value in values]
    assert sum(counts) == DRAWS
    assert stats.chisquare(counts, np.array(probabilities) * DRAWS).pvalue > 1e-3


@pytest.mark.parametrize(
    ("text", "share", "value"),
    [
        ("{distribution: q_normal, mu: 0.1, sigma: 1.0, q: 0.25}", 0.5, 0.0),
        ("{distribution: q_normal, mu: 0.2, sigma: 1.0, q: 0.25}", 0.5, 0.25),
        ("{distribution: q_log_normal, mu: 1, q: 1}", 0.5, 3),
        ("{min: 0, max: 2, q: 0.5, distribution: q_log_uniform}", 0.5, 2.5),
        ("{min: 1, max: 100, q: 5, distribution: q_log_uniform_values}", 0.5, 10),
    ],
)
def test_quantised_ones_are_multiples(
    text: str, share: float, value: float, tmp_path: Path
) -> None:
    """The median, rounded; a whole number where q is one, as on W&B."""
    found = read(text, tmp_path).value(share)
    assert found == value
    assert type(found) is type(value)


def test_a_grid_has_the_values_of_whole_and_quantised_ranges(tmp_path: Path) -> None:
    assert read("{min: 2, max: 4}", tmp_path, "grid").all_values() == [2, 3, 4]
    quantised = "{min: 0.1, max: 0.5, q: 0.2, distribution: q_uniform}"
    assert read(quantised, tmp_path, "grid").all_values() == [0.2, 0.4]
    with pytest.raises(ValueError, match=r"line 1: x: a grid needs `values`"):
        read("{min: 0.1, max: 0.5}", tmp_path, "grid")


def test_nested_parameters_have_names_with_dots(tmp_path: Path) -> None:
    path = tmp_path / "parameters.yaml"
    inner = {"parameters": {"b": {"value": 1}, "c": {"parameters": {"d": {"values": [1, 2]}}}}}
    path.write_text(yaml.safe_dump({"a": inner}))
    assert [name for name, _, _ in read_parameters(read_yaml(path), "grid")] == ["a.b", "a.c.d"]
    path.write_text("a: {value: 1, parameters: {b: {value: 1}}}")
    with pytest.raises(ValueError, match="line 1: a: `parameters` stands alone"):
        list(read_parameters(read_yaml(path), "grid"))
