import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from rl2_sb3.registry import Registry
from rl2_sb3.sweeps import load_sweep
from tests.sweeps.files import GRID, sweep_file


def test_what_is_installed_is_not_read_for_each_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    find = Registry._find

    def spy(self: Registry, name: str) -> Any:
        reads.append(name)
        return find(self, name)

    monkeypatch.setattr(Registry, "_find", spy)
    load_sweep(sweep_file(tmp_path, GRID.replace("[0.1, 3.0]", str([i / 10 for i in range(50)]))))
    assert len(reads) < 10


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("metric:", "metrics:", "line 5: unknown key 'metrics'. Did you mean 'metric'"),
        ("method: grid\n", "", "'method' is missing"),
        ("method: grid", "method: gird", "line 4: method 'gird'"),
        ("ucb1, ", "ucb2, ", "line 3: No baseline 'ucb2'. Did you mean 'ucb1'"),
        ("  c: {", "  d: {", "line 11: ucb1 has no parameter 'd'"),
        ("[0.1, 3.0]", "[]", "line 11: c has no values"),
        ("[0.1, 3.0]", "[0.1, high]", "line 11: c='high' is of a wrong type"),
        ("[0.1, 3.0]", "[0.1, -1.0]", "line 11: c=-1.0 is negative"),
        ("[2, 4]", "[2, 4.5]", "line 9: arms=4.5 is of a wrong type"),
        ("[2, 4]", "[2, 0]", "line 9: arms=0"),
        ("c: {values: [0.1, 3.0]}", "c: {min: 0, max: 1}", "line 11: c: a grid needs"),
        ("validation", "training", "line 7: split='training'"),
        ("{name: mean, goal: maximize}", "{name: regret}", "line 5: the metric is"),
        ("name: tiny", "name: [tiny", "is not YAML"),
    ],
)
def test_what_cannot_run_is_refused_with_its_line(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    assert old in GRID
    with pytest.raises(ValueError) as raised:  # noqa: PT011 (the message is compared below)
        load_sweep(sweep_file(tmp_path, GRID.replace(old, new, 1)))
    assert message in str(raised.value)


@pytest.mark.parametrize("path", sorted(Path("sweeps").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_sweeps_of_the_repository_can_run(path: Path) -> None:
    assert load_sweep(path).name == path.stem


WANDB = Draft7Validator(
    json.loads((Path(__file__).parents[1] / "data/wandb_sweep_schema.json").read_text())
)


@pytest.mark.parametrize("path", sorted(Path("sweeps").glob("*.yaml")), ids=lambda p: p.stem)
def test_wandb_accepts_the_sweeps_of_the_repository(path: Path) -> None:
    WANDB.validate(yaml.safe_load(path.read_text()))


def test_wandb_accepts_ranges() -> None:
    log_range = "{min: 0.01, max: 3.0, distribution: log_uniform_values}"
    text = GRID.replace("method: grid", "method: bayes").replace("{values: [0.1, 3.0]}", log_range)
    WANDB.validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("method: grid", "method: gird", ["method"]),
        ("method: grid\n", "", []),
        ("maximize", "highest", ["metric", "goal"]),
        ("c: {values", "c: {valuez", ["parameters", "c"]),
        ("[0.1, 3.0]", "0.1", ["parameters", "c"]),
    ],
)
def test_wandb_refuses_a_broken_sweep(old: str, new: str, where: list[str]) -> None:
    """The schema is worth something: it finds what is wrong, and where."""
    assert WANDB.is_valid(yaml.safe_load(GRID))
    errors = list(WANDB.iter_errors(yaml.safe_load(GRID.replace(old, new))))
    assert [list(error.absolute_path) for error in errors] == [where]


def test_a_sweep_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing\.yaml cannot be read: No such file"):
        load_sweep(tmp_path / "nothing.yaml")


def test_json_of_a_sweep_is_yaml_too(tmp_path: Path) -> None:
    content: dict[str, Any] = {
        "command": ["rl2", "baseline", "greedy", "${args}"],
        "method": "grid",
        "metric": {"name": "mean"},
        "parameters": {"arms": {"values": [2]}},
    }
    assert load_sweep(sweep_file(tmp_path, json.dumps(content))).baseline == "greedy"
