import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from rl2_sb3.registry import Registry
from rl2_sb3.sweeps import load_sweep
from tests.sweeps.files import GRID, sweep_file

HYPERBAND = "early_terminate: {type: hyperband, min_iter: 3}"
PARAMETERS = GRID.partition("parameters:")[2]


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
        ("[0.1, 3.0]}", "[0.1, 3.0], valuez: [1]}", "line 11: unknown key 'valuez'. Did you mean"),
        ("[0.1, 3.0]}", "[0.1, 3.0], q: 2}", "line 11: c: give either `value`, or `values`"),
        ("[0.1, 3.0]", "[0.1, high]", "line 11: c='high' is of a wrong type"),
        ("[0.1, 3.0]", "[0.1, -1.0]", "line 11: c=-1.0 is negative"),
        ("[2, 4]", "[2, 4.5]", "line 9: arms=4.5 is of a wrong type"),
        ("[2, 4]", "[2, 0]", "line 9: arms=0"),
        ("c: {values: [0.1, 3.0]}", "c: {min: 0.0, max: 1.0}", "line 11: c: a grid needs"),
        ("validation", "training", "line 7: split='training'"),
        ("{name: mean, goal: maximize}", "{name: regret}", "line 5: the metric is"),
        ("name: tiny", "name: [tiny", "is not YAML"),
        ("maximize", "maximise", "line 5: goal 'maximise'. Did you mean 'maximize'"),
        (", goal: maximize", "", "line 5: give a goal"),
        ("mean, goal", "mean, target: 3, goal", "line 5: unknown key 'target'"),
        ("method: grid", "method: grid\nmethod: random", "line 5: the key 'method' comes twice"),
        ("  c: {", "  arms: {", "line 11: the key 'arms' comes twice, first in line 9"),
        ("{value: 300}", "{value: 300, values: [3]}", "line 8: trials: give either `value`"),
        ("{value: 300}", "{value: 300, q: 2}", "line 8: trials: give either"),
        ("{value: 300}", "{value: 300, distribution: uniform}", "line 8: trials: the distribution"),
        ("{value: 300}", "{min: 3}", "line 8: trials: give either"),
        (
            "{value: 300}",
            "{parameters: {x: {value: 3}}}",
            "line 8: ucb1 has no parameter 'trials.x'",
        ),
        ("{value: 300}", "{value: [300]}", "line 8: trials=[300] is of a wrong type"),
        ("{value: 300}", "{value: !!python/name:os.system x}", "line 8: 'x' cannot be read: could"),
        ("{value: 300}", "{value: !bad x}", "line 8: 'x' cannot be read"),
        ("{value: 300}", "{value: !!int x}", "line 8: 'x' cannot be read"),
        ("{value: 300}", "{value: !!bool x}", "line 8: 'x' cannot be read"),
        ("{value: 300}", "{value: 2020-01-01}", "line 8: '2020-01-01' is of type date"),
        ("{value: 300}", "{value: }", "line 8: '' is nothing"),
        ("{value: 300}", "&x {value: *x}", "line 8: expected a single value"),
        ("{value: 300}", "&x {<<: *x, value: 3}", "line 8: '<<' cannot be read"),
        ("[0.1, 3.0]", "&x [*x, 1.0]", "line 11: expected a single value"),
        ("[0.1, 3.0]", "[0.1, .inf]", "line 11: .inf is not finite"),
        ("[0.1, 3.0]", "[.nan]", "line 11: .nan is not finite"),
        ("[0.1, 3.0]", "[0.1, 1.0, 0.1]", "line 11: c has the value 0.1 twice"),
        ("name: tiny", "name: ../tiny", "line 1: the name '../tiny' is to be a file's"),
        ("name: tiny", "name: /tmp/tiny", "line 1: the name '/tmp/tiny'"),
        ("name: tiny", "name: '.'", "line 1: the name '.'"),
        ("name: tiny", "name: ''", "line 1: the name ''"),
        ("name: tiny", f"name: {'x' * 300}", "line 1: the name 'xxx"),
        ("name: tiny", "name: 3", "line 1: 3 is no text"),
        ("name: tiny", "3: tiny", "line 1: the key 3 is no text"),
        ("program: rl2", "program: [rl2]", "line 2: expected a single value"),
        ("ucb1, ", "ucb1, --arms, 7, ", "line 3: name a baseline"),
        (', "${args}"', "", "line 3: the parameters need one place"),
        ("rl2, baseline", "rl2, evaluate", "line 3: `rl2 evaluate` cannot be swept"),
        ("[2, 4]", str(list(range(1, 60_000))), "line 7: a grid of 119,998 points"),
        ("method: grid", "method: grid\nrun_cap: 0", "line 5: 0: use a whole number from 1 on"),
        ("method: grid", "method: grid\nearly_terminate: {min_iter: 3}", "needs `type: hyperband`"),
        ("method: grid", f"method: grid\n{HYPERBAND}", "line 5: a baseline logs nothing"),
        ("name: tiny", "name: tiny\ncontroller: {type: local}", "unknown key 'controller'"),
        ('"${env}", rl2', "python, main.py", "line 3: the command must be one of ours"),
        ('"${args}"', '"${args_json}"', "line 3: the parameters need one place"),
        ('"${args}"', '"${args}", "--x=${y}"', "line 3: unknown macro in '--x=${y}'"),
        (PARAMETERS, " {}\n", "line 6: there are no parameters"),
        (PARAMETERS, " 3\n", "line 6: expected a mapping"),
        ("[0.1, 3.0]", "[1e-3]", "line 11: '1e-3' is text to YAML: write 0.001"),
    ],
)
def test_what_cannot_run_is_refused_with_its_line(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    assert old in GRID
    with pytest.raises(ValueError) as raised:  # noqa: PT011 (the message is compared below)
        load_sweep(sweep_file(tmp_path, GRID.replace(old, new, 1)))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{min: 0, max: .inf}", "line 11: .inf is not finite"),
        ("{min: 2, max: 1}", "min=2 must be a number below max=1"),
        ("{min: 1, max: 1}", "min=1 must be a number below max=1"),
        ("{min: false, max: true}", "min=False must be a number"),
        ("{min: a, max: b}", "min='a' must be a number"),
        ("{min: 0.0, max: 1.0e+300}", "beyond 9.0072e+15"),
        ("{min: 0.5, max: 2, distribution: int_uniform}", "int_uniform needs whole numbers"),
        ("{min: 0, max: 2, distribution: log_uniform_values}", "needs min=0 above 0"),
        ("{min: 0, max: 2, distribution: normal}", "line 11: c: the distribution 'normal' takes"),
        ("{min: 0, max: 2, value: 1}", "c: give either"),
        ("{min: 0.0, max: 2.0, q: 2}", "line 11: c: give either"),
        ("{distribution: normal, mu: 0}", "line 11: c=-2.3"),
        ("{distribution: norml}", "line 11: c: the distribution 'norml'. Did you mean 'normal'"),
        ("{distribution: beta, a: 0}", "c: a=0 must be above 0"),
        ("{values: [1, 2], probabilities: [0.5, 0.6]}", "add up to 1.1, not to 1"),
        ("{values: [1, 2], probabilities: [1]}", "give 2 probabilities"),
        ("{min: -50, max: 1, distribution: log_uniform}", "beyond 36"),
    ],
)
def test_ranges_that_are_none_are_refused(entry: str, message: str, tmp_path: Path) -> None:
    text = GRID.replace("method: grid", "method: random")
    with pytest.raises(ValueError) as raised:  # noqa: PT011 (the message is compared below)
        load_sweep(sweep_file(tmp_path, text.replace("{values: [0.1, 3.0]}", entry)))
    assert message in str(raised.value)


TRAIN = """\
name: tiny
program: rl2
command: ["${env}", rl2, train, bandit, --arms=2, "${args}"]
method: random
metric: {name: trial/return, goal: maximize}
early_terminate: {type: hyperband, max_iter: 27, s: 2}
parameters:
  steps: {value: 2000}
  learning_rate: {min: 0.001, max: 0.01}
  network: {parameters: {hidden_size: {values: [4, 8]}, layers_after: {values: [[4], [4, 4]]}}}
  skip: {values: [true, false]}
"""


def test_a_sweep_of_training_has_the_words_that_wandb_gives(tmp_path: Path) -> None:
    sweep = load_sweep(sweep_file(tmp_path, TRAIN))
    point = {
        **{"network.hidden_size": 4, "network.layers_after": [4, 4]},
        **{"steps": 2000, "learning_rate": 0.005, "skip": True},
    }
    assert sweep.command.for_point(point) == [
        *("bandit", "--arms=2", "--network={'hidden_size': 4, 'layers_after': [4, 4]}"),
        *("--steps=2000", "--learning_rate=0.005", "--skip=True"),
    ]
    assert sweep.hyperband == (3, 27, 3)
    switches = TRAIN.replace("${args}", "${args_no_boolean_flags}")
    command = load_sweep(sweep_file(tmp_path, switches)).command
    assert command.for_point({"skip": True, "privileged": False}) == [
        *("bandit", "--arms=2", "--skip"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("learning_rate", "learnin_rate", "has no option 'learnin_rate'. Did you mean 'learning_r"),
        ("{value: 2000}", "{value: lots}", "line 8: steps='lots' is of a wrong type: it is int"),
        ("{value: 2000}", "{value: 0}", "line 8: steps=0: use a whole number from 1 on"),
        ("max: 0.01", "max: 2", "learning_rate=2.0: use a number from 0 to 1"),
        ("[true, false]", "[1, 0]", "line 11: skip=1 is of a wrong type"),
        ("[[4], [4, 4]]", "[[4], [four]]", "layers_after=['four'] is of a wrong type"),
        ("  skip:", "  out:", "line 11: out: out is set by the sweep"),
        ("  skip:", "  task:", "line 11: task: task is set by the command"),
        ("  skip:", "  memory_kwargs:", "memory_kwargs: nest each"),
        ("--arms=2", "--out=x", "line 3: --out: the sweep gives each run a folder"),
        ("train, bandit, --arms=2", "train", "line 3: name a task after train"),
        ("  network: {", "  netwerk: {", "has no option 'netwerk.hidden_size'"),
        ("s: 2}", "s: 4}", "line 6: max_iter=27 is no 4 times divisible by eta=3"),
        ("max_iter: 27, s: 2", "max_iter: 27", "line 6: give either `min_iter`, or"),
        ("max_iter: 27, s: 2", "min_iter: 2, strict: true", "line 6: unknown key 'strict'"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_its_line(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    assert old in TRAIN
    with pytest.raises(ValueError) as raised:  # noqa: PT011 (the message is compared below)
        load_sweep(sweep_file(tmp_path, TRAIN.replace(old, new, 1)))
    assert message in str(raised.value)


def test_wandb_accepts_a_sweep_of_training() -> None:
    WANDB.validate(yaml.safe_load(TRAIN))


def test_a_search_over_nothing_is_refused(tmp_path: Path) -> None:
    text = GRID.replace("method: grid", "method: bayes").replace("{values: [2, 4]}", "{value: 2}")
    with pytest.raises(ValueError, match="nothing varies: bayes needs"):
        load_sweep(sweep_file(tmp_path, text.replace("{values: [0.1, 3.0]}", "{value: 1}")))


@pytest.mark.timeout(20)
def test_a_grid_without_end_and_a_bomb_are_refused_at_once(tmp_path: Path) -> None:
    many = "".join(
        f"  {name}: {{values: {list(range(1, 101))}}}\n" for name in ("episodes", "arms")
    )
    text = GRID.replace("  arms: {values: [2, 4]}\n  episodes: {value: 20}\n", many)
    text = text.replace("[0.1, 3.0]", str([i / 10 for i in range(100_000)]))
    with pytest.raises(ValueError, match="a grid of 1,000,000,000 points"):
        load_sweep(sweep_file(tmp_path, text))
    bomb = "[&a0 [x, x], " + ", ".join(
        f"&a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}, *a{i - 1}]" for i in range(1, 40)
    )
    with pytest.raises(ValueError, match="line 11: expected a single value"):
        load_sweep(sweep_file(tmp_path, GRID.replace("[0.1, 3.0]", f"{bomb}]")))
    with pytest.raises(ValueError, match="nested too deeply"):
        load_sweep(sweep_file(tmp_path, "[" * 9000 + "]" * 9000))
    with pytest.raises(ValueError, match="more than 1,000,000 bytes"):
        load_sweep(sweep_file(tmp_path, "#" * 1_000_001))


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = sweep_file(tmp_path)
    for content, message in ((b"\xff\xfe\x00", "not text in UTF-8"), (b"", "is empty")):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            load_sweep(path)
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        load_sweep(tmp_path)


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
        "metric": {"name": "mean", "goal": "maximize"},
        "parameters": {"arms": {"values": [2]}},
    }
    assert load_sweep(sweep_file(tmp_path, json.dumps(content))).command.target == "greedy"
