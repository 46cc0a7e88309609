"""``rl2 export``: an agent as a model that needs no Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rl2_sb3.agent import load_agent
from rl2_sb3.agent_file import agent_file
from rl2_sb3.cli.entries import played_folder
from rl2_sb3.export import export_agent


@dataclass(kw_only=True)
class Export:
    """Write one step of an agent's acting network as a model that needs neither torch nor Python.

    Its inputs are the parts of a trial's observation and the memory, its outputs what the action is
    drawn from and the next memory; see docs/export.md.
    """

    agent: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="AGENT")]
    """A run's folder, an agent's file, or an installed agent's name."""
    to: Literal["onnx"] = "onnx"
    """The format."""
    out: Path | None = None
    """File to write; by default beside the agent's file, an installed one's in runs/agents/NAME."""


def export(args: Sequence[str]) -> None:
    """Parse the options and export."""
    config = tyro.cli(Export, args=list(args), prog="rl2 export")
    name = agent_file(config.agent).with_suffix(".onnx").name
    out = config.out or played_folder(config.agent) / name
    if out.suffix != ".onnx":
        raise ValueError(f"--out {out}: the model is an .onnx.")
    agent = load_agent(config.agent)
    out.parent.mkdir(parents=True, exist_ok=True)
    export_agent(agent, out)
    words = f"{out}: {out.stat().st_size:,} bytes, memory of {agent.policy.memory_size} numbers."
    if agent.policy.config.precision == "bf16":
        words += " It multiplies in fp32; the agent was trained with bf16 products."
    print(words)
