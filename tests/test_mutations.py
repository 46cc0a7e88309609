"""The changes of ``python -m tests.mutations`` are of the code as it is."""

from pathlib import Path

import pytest
import yaml

from tests.mutations import CHANGES, ROOT, Mutation

ALL = [Mutation(**each) for each in yaml.safe_load(CHANGES.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("change", ALL, ids=[change.name for change in ALL])
def test_a_change_is_of_one_place_and_its_tests_are_there(change: Mutation) -> None:
    assert (ROOT / change.file).read_text(encoding="utf-8").count(change.old) == 1
    assert change.new != change.old
    assert all((Path(__file__).parent / test).is_file() for test in change.tests)


def test_changes_have_names_of_their_own() -> None:
    assert len({change.name for change in ALL}) == len(ALL)
