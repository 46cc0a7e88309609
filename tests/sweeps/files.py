"""A sweep's file that tests run."""

from pathlib import Path

GRID = """\
name: tiny
program: rl2
command: ["${env}", rl2, baseline, ucb1, "${args}"]
method: grid
metric: {name: mean, goal: maximize}
parameters:
  split: {value: validation}
  trials: {value: 300}
  arms: {values: [2, 4]}
  episodes: {value: 20}
  c: {values: [0.1, 3.0]}
"""


def sweep_file(tmp_path: Path, text: str = GRID) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(text)
    return path
