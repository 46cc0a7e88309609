"""How many processor threads learning takes, and that it leaves the process's setting alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch as th
from stable_baselines3.common.callbacks import BaseCallback

from rl2_sb3 import RL2PPO, RL2TRPO, make_trials
from rl2_sb3.algorithms import threads
from rl2_sb3.algorithms.imitation import Imitation
from rl2_sb3.algorithms.threads import Threads, sensible_threads, threads_for
from rl2_sb3.baselines import Greedy
from rl2_sb3.config import ImitationConfig
from rl2_sb3.memories import native
from tests.algorithms.collecting import Model
from tests.envs import image_env

BEFORE = Threads(torch=5, recurrence=0)
"""Threads of the process; the recurrence takes torch's number."""


def taken_now() -> Threads:
    return Threads(th.get_num_threads(), native._threads.get())


@pytest.fixture(autouse=True)
def _five_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = th.get_num_threads()
    th.set_num_threads(BEFORE.torch)
    monkeypatch.setattr(threads, "MOST", 8)
    monkeypatch.setattr(threads, "processors", lambda: 4)
    yield
    th.set_num_threads(before)


class Seen(BaseCallback):
    """The numbers of threads while collecting, and while training."""

    def __init__(self, error: Exception | None = None):
        super().__init__()
        self.error = error
        self.collecting: set[Threads] = set()
        self.training: set[Threads] = set()

    def _on_training_start(self) -> None:
        model: Any = self.model
        train = model.train

        def watched() -> None:
            self.training.add(taken_now())
            train()

        model.train = watched

    def _on_step(self) -> bool:
        self.collecting.add(taken_now())
        if self.error is not None:
            raise self.error
        return True


def make_model(kind: Any = RL2PPO, units: int = 8, columns: int = 4, **options: Any) -> Any:
    trials = make_trials("bandit", columns, 3, seed=0, arms=2)
    return kind("GRUPolicy", trials, policy_kwargs={"hidden_size": units}, seed=0, **options)


@pytest.mark.parametrize("kind", [RL2PPO, RL2TRPO])
@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ({}, (1, 1)),
        ({"threads": 2}, (1, 2)),
        ({"units": 256, "columns": 64}, (1, 1)),  # minibatches of 16 columns
        ({"units": 256, "columns": 64, "batch_size": 64 * 3}, (1, 2)),
        ({"units": 256, "columns": 64, "batch_size": 64 * 3, "threads": 1}, (1, 1)),
    ],
)
def test_learning_takes_them_and_gives_them_back(
    kind: type[Model], options: dict[str, Any], taken: tuple[int, int]
) -> None:
    model, seen = make_model(kind, **options), Seen()
    model.learn(1, seen)
    assert seen.collecting == seen.training == {taken}
    assert taken_now() == BEFORE


def test_they_are_given_back_after_an_exception() -> None:
    seen = Seen(KeyError("of the callback"))
    with pytest.raises(KeyError, match="of the callback"):
        make_model().learn(12, seen)
    assert seen.collecting == {(1, 1)}
    assert taken_now() == BEFORE


@pytest.mark.parametrize(
    ("cores", "units", "columns", "convolutions", "expected"),
    [
        *((2, 1, 500, False, (1, 1)), (2, 255, 500, False, (1, 1))),
        *((2, 256, 500, False, (1, 2)), (6, 1024, 500, False, (1, 6))),
        *((64, 256, 500, False, (1, 8)), (64, 256, 100, False, (1, 3))),
        *((2, 256, 63, False, (1, 1)), (2, 256, 8, False, (1, 1)), (2, 256, 64, False, (1, 2))),
        *((6, 8, 1, True, (6, 6)), (64, 8, 1, True, (8, 8)), (1, 256, 1, True, (1, 1))),
    ],
)
def test_the_rule(
    cores: int,
    units: int,
    columns: int,
    convolutions: bool,
    expected: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "processors", lambda: cores)
    monkeypatch.setattr(th, "get_num_threads", lambda: 64)
    assert threads_for(units, columns, convolutions) == expected
    monkeypatch.setattr(th, "get_num_threads", lambda: 1)  # as with OMP_NUM_THREADS=1
    assert threads_for(units, columns, convolutions) == (1, 1)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ({}, 1),
        ({"hidden_size": 256}, 4),
        ({"value_network": "sums"}, 1),
        ({"layers_before": [512], "layers_after": [512]}, 1),
    ],
)
def test_the_recurrence_alone_counts(network: dict[str, Any], expected: int) -> None:
    trials = make_trials("bandit", 2, 2)
    model = RL2PPO("GRUPolicy", trials, policy_kwargs={"hidden_size": 8, **network})
    assert sensible_threads(model.policy, 500) == (1, expected)


@pytest.mark.parametrize(("policy", "expected"), [("GRUPolicy", 1), ("CnnGRUPolicy", 4)])
def test_convolutions_are_large(policy: str, expected: int) -> None:
    trials = make_trials(image_env, 1, 2)
    model = RL2PPO(policy, trials, n_steps=4, policy_kwargs={"hidden_size": 8})
    assert sensible_threads(model.policy, 500) == (expected, expected)
    assert sensible_threads(model.policy, 500, told=3) == (3 if expected > 1 else 1, 3)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2"])
@pytest.mark.parametrize("kind", [RL2PPO, RL2TRPO])
def test_what_is_no_number_of_threads_is_refused(
    kind: type[Model], wrong: Any, tmp_path: Path
) -> None:
    message = f"threads={wrong!r}: use 1 or more, or None"
    with pytest.raises(ValueError, match=message):
        make_model(kind, threads=wrong)
    make_model(kind).save(tmp_path / "model")
    with pytest.raises(ValueError, match=message):
        kind.load(tmp_path / "model", threads=wrong)


def test_they_are_saved_and_can_be_changed(tmp_path: Path) -> None:
    make_model(threads=2).save(tmp_path / "model")
    trials = make_trials("bandit", 4, 3, arms=2)
    for given, expected in (({}, 2), ({"threads": 4}, 4), ({"threads": None}, 1)):
        model, seen = RL2PPO.load(tmp_path / "model", trials, **given), Seen()
        model.learn(12, seen)
        assert seen.collecting == {(1, expected)}


@pytest.mark.parametrize("kind", [RL2PPO, RL2TRPO])
def test_a_checkpoint_from_before_there_was_a_choice(kind: type[Model], tmp_path: Path) -> None:
    make_model(kind, threads=2).save(tmp_path / "model", exclude=["threads"])
    model = kind.load(tmp_path / "model", make_trials("bandit", 4, 3, arms=2), force_reset=False)
    seen = Seen()
    model.learn(12, seen)
    assert seen.collecting == {(1, 1)}


@pytest.mark.parametrize(("given", "taken"), [(None, 1), (2, 2)])
def test_imitation_takes_them_and_gives_them_back(given: int | None, taken: int) -> None:
    class Watched(Greedy):
        seen: set[Threads] = set()  # noqa: RUF012

        def action_probabilities(self, *args: Any) -> Any:
            self.seen.add(taken_now())
            return super().action_probabilities(*args)

    model, teacher = make_model(threads=given), Watched(arms=2)
    model.learn(1)  # it has a logger then
    columns = model.n_envs
    Imitation(model, teacher, ImitationConfig(batches=2, trials_per_batch=columns)).learn()
    assert teacher.seen == {(1, taken)}
    assert taken_now() == BEFORE

    class Failing(BaseCallback):
        def _on_step(self) -> bool:
            raise AssertionError("imitation tells of rounds alone")

        def _on_rollout_start(self) -> None:
            teacher.seen = {taken_now()}
            raise KeyError("of the callback")

    more = Imitation(model, teacher, ImitationConfig(batches=4, trials_per_batch=columns))
    with pytest.raises(KeyError, match="of the callback"):
        more.learn(Failing())
    assert teacher.seen == {(1, taken)}
    assert taken_now() == BEFORE
