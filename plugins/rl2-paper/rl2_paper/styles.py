"""The agents of the paper's tables: their names, their order, and one style in all figures."""

from __future__ import annotations

from typing import Any, NamedTuple

from rl2_sb3.plots.style import GREY


class Style(NamedTuple):
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
    ("beb-replanning", "BEB at each step", "#117733", "p"),
    ("epsilon-greedy", "ε-greedy", "#E69F00", "^"),
    ("greedy", "Greedy", "#E69F00", "v"),
)
"""The agents of Table 2, each with one of two priors."""

STYLES = {
    "random": Style("Random", GREY, ":", "x"),
    "greedy": Style("Greedy", "#E69F00", marker="v"),
    "epsilon-greedy": Style("ε-greedy", "#E69F00", "--", "^"),
    "ucb1": Style("UCB1", "#D55E00", marker="s"),
    "thompson": Style("Thompson sampling (TS)", "#CC79A7", marker="<"),
    "ots-density": Style("Optimistic TS, by density", "#CC79A7", "--", ">"),
    "ots-mean": Style("Optimistic TS, by mean", "#CC79A7", ":", "P"),
    "gittins": Style("Gittins", "#000000", "--", "d"),
    "gittins-finite-horizon": Style("Gittins, finite horizon", "#000000", marker="D"),
    **{
        f"{agent}-{prior}": Style(f"{name}, {words}", colour, dashes, marker)
        for prior, words, dashes in (("paper", "paper's prior", "--"), ("true", "true prior", "-"))
        for agent, name, colour, marker in PLANNERS
    },
    "rl2": Style("RL²", "#0072B2", width=2.6),
    "rl2-fast-weights": Style("RL², fast weights", "#0072B2", "-.", "P", width=2.0),
    "rl2-transition-graph": Style("RL², transition graph", "#0072B2", ":", "X", width=2.0),
    "rl2-action-gru": Style("RL², a cell for each arm", "#0072B2", "-.", "P", width=2.0),
    "rl2-transition-graph-privileged": Style(
        "RL², transition graph, privileged", "#0072B2", "--", "X", width=2.0
    ),
    "rl2-action-gru-privileged": Style(
        "RL², a cell for each arm, privileged", "#0072B2", "--", "P", width=2.0
    ),
    "rl2-privileged": Style("RL², privileged training", "#0072B2", "--", "s", width=2.6),
    "rl2-imitation": Style("RL², imitation", "#56B4E9", width=2.0),
    "rl2-imitation-rl": Style("RL², imitation, then RL", "#009E73", width=2.0),
    "bayes-optimum": Style("Bayes optimum", "#000000", ":", "*"),
    "known-mdp": Style("Known MDP", "#000000", ":", "*"),
    "snail": Style("SNAIL", GREY),
}


def style_of(agent: str) -> Style:
    """The style of an agent; grey, with its own name, where it is none of the table's."""
    return STYLES.get(agent, Style(agent, GREY))


def place(agent: str) -> int:
    """Its place in tables and legends."""
    return list(STYLES).index(agent) if agent in STYLES else len(STYLES)
