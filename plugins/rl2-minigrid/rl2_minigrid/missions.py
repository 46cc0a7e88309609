"""A mission's text as tokens: one number a word."""

from __future__ import annotations

import re

import numpy as np
from gymnasium import spaces
from minigrid.core.mission import MissionSpace
from numpy.typing import NDArray

NO_WORD = 0
"""After a mission's end."""


class Tokens:
    """The words of all missions that a family can give, numbered from 1 in alphabetical order.

    :param missions: the family's
    :raises ValueError: a family that does not tell its missions
    """

    def __init__(self, missions: MissionSpace):
        chosen = missions.ordered_placeholders or []
        texts = [missions.mission_func(*(each[0] for each in chosen))]
        for place, values in enumerate(chosen):  # each value once: a sum of texts, no product
            for value in values:
                words = [each[0] for each in chosen]
                words[place] = value
                texts.append(missions.mission_func(*words))
        longest = [max(each, key=lambda value: len(_words(value))) for each in chosen]
        texts.append(missions.mission_func(*longest))
        self.words = sorted({word for text in texts for word in _words(text)})
        self._numbers = {word: number for number, word in enumerate(self.words, NO_WORD + 1)}
        length = max(len(_words(text)) for text in texts)
        self.space = spaces.MultiDiscrete([len(self.words) + 1] * length)

    def __call__(self, mission: str) -> NDArray[np.int64]:
        """The tokens of a mission, ``(length of the longest,)``.

        :raises ValueError: a word that none of the family's missions has, or too many words
        """
        tokens = np.full(self.space.shape, NO_WORD, np.int64)
        words = _words(mission)
        unknown = [word for word in words if word not in self._numbers]
        if unknown or len(words) > len(tokens):
            raise ValueError(
                f"The mission {mission!r} is none that its family announces (words: "
                f"{', '.join(self.words)}): leave missions out with mission=False."
            )
        tokens[: len(words)] = [self._numbers[word] for word in words]
        return tokens


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
