"""The agents of the paper's tables: their names, their order, and one look in all figures."""

from __future__ import annotations

from typing import Any, NamedTuple

from rl2_sb3.reports.style import GREY


class Look(NamedTuple):
    """How an agent is shown."""

    name: str
    colour: str
    dashes: str = "-"
    marker: str = "o"
    width: float = 1.4

    def line(self) -> dict[str, Any]:
        """Arguments of a line."""
        return {"color": self.colour, "ls": self.dashes, "lw": self.width, "label": self.name}


PLANNERS = (
    ("psrl", "PSRL", "#CC79A7", "<"),
    ("opsrl", "OPSRL", "#999933", ">"),
    ("ucrl2", "UCRL2", "#661100", "s"),
    ("beb", "BEB", "#D55E00", "D"),
    ("epsilon-greedy", "ε-greedy", "#E69F00", "^"),
    ("greedy", "Greedy", "#E69F00", "v"),
)
"""The agents of Table 2, each with one of two priors."""

LOOKS = {
    "random": Look("Random", GREY, ":", "x"),
    "greedy": Look("Greedy", "#E69F00", marker="v"),
    "epsilon-greedy": Look("ε-greedy", "#E69F00", "--", "^"),
    "ucb1": Look("UCB1", "#D55E00", marker="s"),
    "thompson": Look("Thompson sampling (TS)", "#CC79A7", marker="<"),
    "ots-density": Look("Optimistic TS, by density", "#CC79A7", "--", ">"),
    "ots-mean": Look("Optimistic TS, by mean", "#CC79A7", ":", "P"),
    "gittins": Look("Gittins", "#000000", "--", "d"),
    "gittins-finite-horizon": Look("Gittins, finite horizon", "#000000", marker="D"),
    **{
        f"{agent}-{prior}": Look(f"{name}, {words}", colour, dashes, marker)
        for prior, words, dashes in (("paper", "paper's prior", "--"), ("true", "true prior", "-"))
        for agent, name, colour, marker in PLANNERS
    },
    "rl2": Look("RL²", "#0072B2", width=2.6),
    "rl2-privileged": Look("RL², privileged training", "#0072B2", "--", "s", width=2.6),
    "rl2-imitation": Look("RL², imitation", "#56B4E9", width=2.0),
    "rl2-imitation-rl": Look("RL², imitation, then RL", "#009E73", width=2.0),
    "bayes-optimum": Look("Bayes optimum", "#000000", ":", "*"),
    "known-mdp": Look("Known MDP", "#000000", ":", "*"),
    "snail": Look("SNAIL", GREY),
}


def look(agent: str) -> Look:
    """The look of an agent; grey, with its own name, where it is none of the table's."""
    return LOOKS.get(agent, Look(agent, GREY))


def place(agent: str) -> int:
    """Its place in tables and legends."""
    return list(LOOKS).index(agent) if agent in LOOKS else len(LOOKS)
