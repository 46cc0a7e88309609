"""Options that make no sense are refused by name before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rl2_sb3 import RL2PPO, RL2TRPO
from rl2_sb3.cli import main
from rl2_sb3.config import FolderConfig, ImitationRunConfig, TrainConfig
from rl2_sb3.options import flat_defaults, from_flat
from rl2_sb3.ranges import Range, check_config, check_options

REFUSED = {
    "train bandit": [
        *("--clip-range nan", "--clip-range -1", "--clip-range 0", "--clip-range inf"),
        *("--target-kl nan", "--target-kl -1", "--target-kl 0", "--target-kl inf"),
        *("--ent-coef -1", "--ent-coef nan", "--ent-coef inf", "--learning-rate 1e30"),
        *("--learning-rate nan", "--learning-rate -1e-3", "--n-epochs 0"),
        *("--gamma 1.5", "--gae-lambda nan", "--value-lambda -1", "--vf-coef inf"),
        *("--max-grad-norm 0", "--max-grad-norm nan", "--n-steps 0", "--trials-per-batch -1"),
        *("--line-search-shrinking-factor 0", "--cg-damping nan", "--line-search-max-iter 0"),
        *("--steps 0", "--decay-steps 0", "--n-envs 0", "--steps-per-rollout 0", "--episodes -1"),
        *("--seed -1", "--seed 4294967296", "--threads 0", "--hidden-size 0", "--memory-steps -1"),
        *("--layers-after 8 0", "--layers-before -1", "--prediction-coef nan"),
        *("--minutes-between-checkpoints nan", "--minutes-between-checkpoints inf"),
        "--minutes-between-checkpoints -1",
    ],
    "imitate bandit": [
        *("--gamma 5", "--batches 0", "--learning-rate 1e30", "--student-share 1.1"),
        *("--cost-weight nan", "--trials-per-batch 0", "--minutes-between-checkpoints nan"),
    ],
}
CASES = [(command, words) for command, each in REFUSED.items() for words in each]


@pytest.mark.parametrize(("command", "words"), CASES)
def test_the_command_line_refuses(
    command: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = words.split()[0][2:].replace("-", "_")
    with pytest.raises(SystemExit, match=rf"^rl2 \w+: {name}=.*: use a (whole )?number "):
        main([*command.split(), *words.split()])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("algorithm", [RL2PPO, RL2TRPO])
@pytest.mark.parametrize(
    "option",
    [
        *({"clip_range": float("nan")}, {"target_kl": 0.0}, {"ent_coef": -1}, {"n_epochs": 0}),
        *({"learning_rate": 1e30}, {"n_epochs": 5.0}, {"gamma": "1"}, {"n_epochs": True}),
        *({"policy_kwargs": {"hidden_size": 0}}, {"policy_kwargs": {"layers_after": (8, -1)}}),
    ],
)
def test_python_refuses_the_same(algorithm: Any, option: dict[str, Any]) -> None:
    ((name, value),) = option.items()
    if isinstance(value, dict):
        ((name, value),) = value.items()
    with pytest.raises(ValueError, match=rf"^{name}=.*: use a (whole )?number "):
        algorithm("GRUPolicy", "bandit", **option)


def test_schedules_and_defaults_are_not_looked_at() -> None:
    check_options(TrainConfig, {"steps": None, "seed": lambda _: -1, "else": -1})
    check_config(TrainConfig(task="bandit"))
    RL2PPO("GRUPolicy", "bandit", max_grad_norm=float("inf"), clip_range=lambda _: 0.1)


def test_all_numbers_have_ranges() -> None:
    """An option that is added without one is noticed here."""
    for kind in (TrainConfig, ImitationRunConfig, FolderConfig):
        numbers = {
            name: -1
            for name, value in flat_defaults(kind).items()
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        }
        config: Any = (
            FolderConfig() if kind is FolderConfig else from_flat(kind, {"task": "bandit"})
        )
        for part in [config, *vars(config).values()]:
            for name in numbers.keys() & getattr(part, "__dict__", {}).keys():
                with pytest.raises(ValueError, match=f"^{name}=-1: "):
                    check_options(type(part), {name: -1})


def test_ranges_in_words() -> None:
    assert str(Range(1, whole=True)) == "a whole number from 1 on"
    assert str(Range(0, 1)) == "a number from 0 to 1"
    assert str(Range(0, 2**32 - 1, whole=True)) == "a whole number from 0 to 4294967295"
    assert str(Range(0, above=True)) == "a number above 0"
    assert str(Range(0, 1, above=True)) == "a number above 0, at most 1"
