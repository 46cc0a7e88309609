"""The paper's presets name settings that exist, and lead from one to the next."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rl2_sb3 import load_agent
from rl2_sb3.cli import main
from rl2_sb3.config import ImitationRunConfig, TrainConfig
from rl2_sb3.options import flat_defaults
from rl2_sb3.presets import Command, load, names, presets
from rl2_sb3.signals import training


@pytest.mark.parametrize(
    ("kind", "command"), [(TrainConfig, "train"), (ImitationRunConfig, "imitate")]
)
def test_presets_set_what_there_is(kind: type, command: Command) -> None:
    known = set(flat_defaults(kind))
    assert len(presets(command)) > 10
    for preset in presets(command):
        assert set(preset.settings) <= known, preset.name
        assert preset.after is None or preset.after in names(), preset.name


def test_a_preset_sets_the_task_and_is_overridden_by_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["--hidden-size", "4", "--steps", "1", "--n-envs", "8", "--no-progress"]
    main(["train", "--preset", "bandit-k10-n10", "--arms", "3", *small])
    config = json.loads(Path("runs/bandit-k10-n10/config.json").read_text())
    assert (config["task"], config["options"]["arms"], config["episodes"]) == ("bandit", 3, 10)
    with pytest.raises(SystemExit, match="is of bandit, not of CartPole-v1"):
        main(["train", "CartPole-v1", "--preset=bandit-k10-n10", *small])


def shrink(stages: list[str], settings: str) -> str:
    """Files of presets with smaller settings, each after the one before; the last one's path."""
    for before, name in zip([None, *stages], stages, strict=False):
        after = f"after: {before}.yaml" if before else ""
        Path(f"{name}.yaml").write_text(f"extends: {name}\n{settings}\n{after}\n")
    return f"{stages[-1]}.yaml"


def test_a_preset_trains_what_it_goes_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stages = ["bandit-k10-stage-10-privileged", "bandit-k10-stage-30-privileged"]
    stages.append("bandit-k10-n100-privileged")
    assert [load(name).after for name in stages] == [None, *stages[:-1]]
    tiny = "hidden_size: 4\nlayers_after: []\nsteps: 1\nn_envs: 8\ntrials_per_batch: 8"
    last = shrink(stages, tiny)
    main(["train", "--preset", last, "--seed", "3", "--threads", "2", "--no-progress"])
    info = load_agent("runs/bandit-k10-n100-privileged").info
    assert [run["episodes"] for run in info["history"]] == [10, 30]
    assert (info["episodes"], info["steps"]) == (100, 8 * 140)
    first = json.loads(Path("runs/bandit-k10-stage-10-privileged/config.json").read_text())
    assert (first["seed"], first["threads"]) == (3, 2)


def test_a_presets_stages_have_their_own_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each would learn from the trials of the one before."""
    monkeypatch.chdir(tmp_path)
    last = "bandit-k50-n500-imitation"
    stages = [f"{last}-stage-{stage}" for stage in range(1, 5)] + [last]
    assert [load(name).after for name in stages] == [None, *stages[:-1]]
    tiny = "hidden_size: 4\nlayers_after: []\nbatches: 1\ntrials_per_batch: 2\nepisodes: 5"
    main(["imitate", "--preset", shrink(stages, tiny), "--no-progress"])
    configs = [json.loads(Path("runs", name, "config.json").read_text()) for name in stages]
    assert [config["seed"] for config in configs] == [0, 1, 2, 3, 4]
    assert {config["threads"] for config in configs} == {None}
    assert [config["options"]["beta"] for config in configs] == [1, 1, 1, 1.25, 1]


def test_presets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[tuple[Command, str]] = [
        (
            "train",
            "bandit-k5-stage-30-privileged bandit arms=5 30 3M steps bandit-k5-stage-10-privileged",
        ),
        ("train", "bandit-k10-stage-10-privileged bandit arms=10 10 1.5M steps"),
        ("train", "paper any"),
        (
            "imitate",
            "bandit-k10-n100-imitation bandit arms=10 100 8,000 batches "
            "gittins(method='finite-horizon')",
        ),
    ]
    for command, line in lines:
        with pytest.raises(SystemExit) as left:
            main([command, "--preset", "list"])
        assert not left.value.code
        printed = capsys.readouterr().out.splitlines()
        assert line in [" ".join(each.split()) for each in printed]
        assert len(printed) == 2 + len(names(command))  # and the head, and that there need be none


def test_a_presets_name_tells_what_its_agent_learns_from() -> None:
    named = {"privileged": "privileged RL", "imitation": "imitation"}
    for preset in presets():
        chain = [preset]
        while after := chain[0].after:
            chain.insert(0, load(after))
        runs = [each.settings for each in chain]
        kind = training({"history": runs[:-1], **runs[-1]})
        if re.search("-imitation-rl(-stage-[0-9])?$", preset.name):
            assert kind == "RL after imitation", preset.name
            assert runs[-1]["privileged"], preset.name
        else:
            words = re.search("-(privileged)$|-(imitation)(-stage-[0-9])?$", preset.name)
            told = "RL from scratch" if words is None else named[words[1] or words[2]]
            assert kind == told, preset.name


def test_a_preset_of_another_command_is_pointed_to() -> None:
    with pytest.raises(SystemExit, match="`rl2 imitate --preset bandit-k10-n100-imitation`"):
        main(["train", "--preset", "bandit-k10-n100-imitation"])
    with pytest.raises(SystemExit, match="`rl2 train --preset paper`"):
        main(["imitate", "bandit", "--preset=paper"])
    with pytest.raises(SystemExit, match=r"No preset 'papers'\. Did you mean 'paper'"):
        main(["train", "bandit", "--preset", "papers"])
    with pytest.raises(SystemExit, match=r"No preset 'mdp-n25-imit'\. Did you mean 'mdp-n25-imi"):
        main(["train", "--preset", "mdp-n25-imit"])
