from typing import Any

import pytest

from rl2_sb3.runs.signals import Training, learned_from, training

BEB = "beb(prior='true')"


@pytest.mark.parametrize(
    ("runs", "kind", "words"),
    [
        ([{}], "RL from scratch", "reward"),
        ([{}, {}], "RL from scratch", "reward"),
        ([{"privileged": True}, {"privileged": True}], "privileged RL", "reward, privileged"),
        ([{"privileged": True}, {}], "privileged RL", "reward, privileged, then reward"),
        ([{"teacher": BEB}, {"teacher": "beb"}], "imitation", "beb"),
        (
            [{"teacher": BEB}, {"privileged": True}],
            "RL after imitation",
            "beb, then reward, privileged",
        ),
    ],
)
def test_what_an_agent_learned_from(runs: list[dict[str, Any]], kind: Training, words: str) -> None:
    *history, last = runs
    info = {"history": history, **last} if history else last
    assert (training(info), learned_from(info)) == (kind, words)
