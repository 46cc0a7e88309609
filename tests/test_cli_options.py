"""How words of the command line become a task, its options and a run's; and how fast."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rl2_sb3
from rl2_sb3.cli import COMMANDS, main
from rl2_sb3.cli.imitate import Imitate
from rl2_sb3.cli.options import parse
from rl2_sb3.cli.train import Train
from rl2_sb3.registry import TASKS

TINY = ["--hidden-size", "8", "--n-envs", "32", "--episodes", "5", "--no-progress"]


@pytest.mark.parametrize(
    ("words", "task", "options"),
    [
        ("CartPole-v1 --out bandit", "CartPole-v1", None),
        ("--out bandit CartPole-v1", "CartPole-v1", None),
        ("bandit --out tabular-mdp --arms 3", "bandit", 3),
        ("--preset bandit-k10-n10 --arms 3", "bandit", 3),
        ("--preset=bandit-k10-n10", "bandit", 10),
        ("bandit --arms=4 --preset bandit-k10-n10", "bandit", 4),
    ],
)
def test_a_task_is_what_stands_where_it_belongs(words: str, task: str, options: Any) -> None:
    parsed = parse("train", Train, words.split())
    assert parsed.config.task == task
    assert parsed.options.get("arms") == options


def test_a_task_comes_before_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="name the task before options of its own"):
        main(["train", "--arms", "3", "bandit"])
    with pytest.raises(SystemExit):
        main(["train", "bandit", "--armz", "3"])
    assert "--armz" in capsys.readouterr().err


def test_options_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(
        "task: bandit\ngamma: 0.9\nlearning_rate: 1e-3\nlayers_after: [32, 16]\nlr_decay: false\n"
        "memory_kwargs: {a: 1, b: x}\nn_envs: null\noptions: {arms: 7, alpha: 2.0}\n"
    )
    config, options, _ = parse("train", Train, ["--config", "a.yaml", "--arms", "4"])
    assert (config.task, options) == ("bandit", {"arms": 4, "alpha": 2.0, "beta": 1.0})
    learning = config.learning
    assert (learning.gamma, learning.learning_rate, learning.lr_decay) == (0.9, 1e-3, False)
    assert (config.network.layers_after, config.n_envs) == ((32, 16), None)
    assert config.network.memory_kwargs == {"a": 1, "b": "x"}

    words = ["tabular-mdp", "--config", "a.yaml", "--gamma", "0.5", "--states", "3"]
    config, options, _ = parse("train", Train, words)  # what is given wins
    assert (config.task, config.learning.gamma, options["states"]) == ("tabular-mdp", 0.5, 3)

    Path("b.yaml").write_text("preset: bandit-k10-n10\nhidden_size: 9\n")
    config, options, _ = parse("train", Train, ["--config", "b.yaml"])
    assert (options["arms"], config.network.hidden_size) == (10, 9)
    for text, message in (
        ("gama: 1", "c.yaml: no option 'gama'. Did you mean 'gamma'"),
        ("- gamma", "c.yaml: write name: value"),
        ("batches: 3", "c.yaml: no option 'batches'"),
    ):
        Path("c.yaml").write_text(text)
        with pytest.raises(SystemExit, match=message):
            main(["train", "bandit", "--config", "c.yaml"])
    with pytest.raises(
        SystemExit, match=r"--config d.yaml cannot be read: No such file or dir\w+\.$"
    ):
        main(["train", "bandit", "--config", "d.yaml"])
    config, _, _ = parse("imitate", Imitate, ["bandit", "--config", "c.yaml"])
    assert config.learning.batches == 3


def test_a_runs_configuration_is_such_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["train", "bandit", "--arms", "3", "--steps", "160", *TINY, "--out", "a"])
    main(["train", "--config", "a/config.json", "--out", "b", "--no-progress"])
    a, b = (json.loads(Path(name, "config.json").read_text()) for name in "ab")
    assert a == b


def test_checkpoints_is_the_old_name_of_agents(capsys: pytest.CaptureFixture[str]) -> None:
    main(["agents"])
    listed = capsys.readouterr().out
    main(["checkpoints"])
    note, _, rest = capsys.readouterr().out.partition("\n")
    assert "`rl2 agents`" in note
    assert rest == listed
    assert "checkpoints" not in COMMANDS


@pytest.mark.parametrize(
    "words",
    ["--help", "trian", "train --help", "train bandit --help", "imitate tabular-mdp --gama 1"],
)
def test_help_and_errors_need_no_torch(words: str) -> None:
    code = "\n".join(
        (
            "import sys",
            "from rl2_sb3.cli import main",
            "try:",
            "    main(sys.argv[1:])",
            "except SystemExit:",
            "    pass",
            "print(*{'torch', 'stable_baselines3'} & set(sys.modules), file=sys.stderr)",
        )
    )
    command = [sys.executable, "-c", code, *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == ""


def test_public_names_are_imported_when_they_are_used() -> None:
    code = "import sys, rl2_sb3; assert 'torch' not in sys.modules; rl2_sb3.RL2PPO"
    subprocess.run([sys.executable, "-c", code], check=True)
    for name in rl2_sb3.__all__:
        assert getattr(rl2_sb3, name).__name__ == name
        assert name in dir(rl2_sb3)
    with pytest.raises(AttributeError, match="no attribute 'RL2DQN'"):
        rl2_sb3.RL2DQN  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], None),
        (["--normalize-observations"], True),
        (["--no-normalize-observations"], False),
        (["--normalize_observations"], True),
        (["--normalize-observations=None"], None),
        (["--normalize-observations", "False"], False),
        (["--normalize-observations", "--steps", "8"], True),
    ],
)
def test_switches_that_have_a_default_of_their_own(words: list[str], wanted: bool | None) -> None:
    config = parse("train", Train, ["CartPole-v1", *words]).config
    assert config.network.normalize_observations is wanted
    config = parse("train", Train, [*words, "--seed", "1", "CartPole-v1"]).config
    assert config.network.normalize_observations is wanted


@pytest.mark.parametrize("what", [3, "bandit", None])
def test_a_plugin_that_is_no_task_distribution_is_refused(
    what: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASKS._registered, "own", what)
    with pytest.raises(SystemExit, match="own of this process is no task distribution"):
        main(["train", "own"])
