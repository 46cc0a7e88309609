"""Options of a distribution that the command line cannot take are no surprise in training."""

from dataclasses import dataclass
from typing import Any

import pytest
from gymnasium import spaces

from rl2_sb3 import BernoulliBandit
from rl2_sb3.cli.imitate import Imitate
from rl2_sb3.cli.train import Train
from rl2_sb3.options import flat_defaults
from rl2_sb3.reserved import RESERVED
from rl2_sb3.testing import check_tasks
from tests.envs import GoalTasks, SmallEnv, box_env, vector


def test_the_reserved_names_are_those_of_the_commands() -> None:
    commands = flat_defaults(Train).keys() | flat_defaults(Imitate).keys()
    assert set(RESERVED) == commands | {"options", "help", "debug"}


@dataclass
class Taken(BernoulliBandit):
    """Two options with names that are taken, the one of `rl2 train`, the other of `rl2 imitate`."""

    steps: int = 3
    teacher: str = "me"


class Forgetful(GoalTasks):
    def __init__(self, size: int = 5):
        super().__init__(size)


def test_reserved_names_are_refused() -> None:
    with pytest.raises(AssertionError, match=r"the command line takes itself: steps, teacher\. Re"):
        check_tasks(Taken())


def test_options_are_kept() -> None:
    with pytest.raises(AssertionError, match="Forgetful does not keep its option 'size' as an att"):
        check_tasks(Forgetful())


def test_a_plain_environment_is_checked_with_its_seed_as_the_task() -> None:
    check_tasks(box_env)

    class Unseeded(SmallEnv):
        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            return super().reset(seed=None)

    with pytest.raises(AssertionError, match="The same task, seed and actions give another"):
        check_tasks(lambda: Unseeded(vector(2), spaces.Discrete(2)))
