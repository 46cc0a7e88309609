"""A stranger's checkpoint runs nothing unless its user says so; weights need no unpickling."""

from __future__ import annotations

import base64
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import pytest
import torch as th

from rl2_sb3 import RL2PPO
from rl2_sb3.algorithms.unpickling import PICKLED, attributes, check_harmless
from rl2_sb3.cli import main

TINY = ["--hidden-size", "8", "--n-envs", "8", "--episodes", "2", "--no-progress"]
RUNS = {
    "bandit": ["bandit", "--steps", "32"],
    "mdp": ["tabular-mdp", "--steps", "160", "--privileged", "--value-network", "sums"],
    "trpo": ["bandit", "--steps", "32", "--algorithm", "trpo", "--memory", "lstm"],
    "cartpole": ["CartPole-v1", "--steps", "64", "--n-steps", "8"],
    "pendulum": ["Pendulum-v1", "--steps", "64", "--n-steps", "8", "--no-lr-decay"],
    "images": ["raycast-maze", "--size", "small", "--steps", "64", "--n-steps", "8"],
}


class Evil:
    """What a stranger might put into a checkpoint."""

    def __reduce__(self) -> Any:
        return os.system, ("touch executed",)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def plant(checkpoint: Path, name: str, value: bytes | str) -> None:
    """Replace an attribute of a checkpoint by a pickle."""
    with zipfile.ZipFile(checkpoint) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    data = json.loads(parts["data"])
    text = value if isinstance(value, str) else base64.b64encode(value).decode()
    data[name] = {":type:": "x", PICKLED: text}
    parts["data"] = json.dumps(data).encode()
    with zipfile.ZipFile(checkpoint, "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, content)


def train(*words: str, out: str = "run") -> None:
    main(["train", *words, *TINY, "--out", out])


@pytest.mark.parametrize("run", RUNS)
def test_our_own_checkpoints_need_no_trust(run: str) -> None:
    policy = ["--policy", "CnnGRUPolicy"] if run == "images" else []
    train(*RUNS[run], *policy)
    check_harmless(Path("run/checkpoint.zip"))
    train(*RUNS[run], *policy, "--resume")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (pickle.dumps(Evil()), r"posix\.system|os\.system"),
        (cloudpickle.dumps(lambda _: 0.1), r"cloudpickle\.cloudpickle\._\w+"),
        (pickle.dumps(eval), r"builtins\.eval"),
        (pickle.dumps(th.load), r"torch\.serialization\.load"),
        (b"cnumpy.f2py\nrun_main\n.", r"numpy\.f2py\.run_main"),
        (b"cnumpy\nload\n.", r"numpy\.load"),
        (b"crl2_sb3.cli\nmain\n.", r"rl2_sb3\.cli\.main"),
        (b"\x80\x04\x8c\x05numpy\x94\x8c\x0cndarray.view\x94\x93.", r"numpy\.ndarray\.view"),
    ],
)
def test_a_checkpoint_that_runs_code_is_refused(content: bytes, named: str) -> None:
    train(*RUNS["bandit"])
    plant(Path("run/checkpoint.zip"), "ent_coef", content)
    with pytest.raises(
        SystemExit, match=rf"run code of its own .*{named}, for ent_coef\): add --trust"
    ):
        train(*RUNS["bandit"], "--resume")
    assert not Path("executed").exists()


def test_who_trusts_a_checkpoint_runs_it() -> None:
    train(*RUNS["bandit"])
    plant(Path("run/checkpoint.zip"), "ent_coef", pickle.dumps(Evil()))
    train(*RUNS["bandit"], "--resume", "--trust")
    assert Path("executed").exists()


def test_weights_are_taken_without_unpickling() -> None:
    train(*RUNS["bandit"])
    for name in ("ent_coef", "policy_class", "resume_state"):
        plant(Path("run/checkpoint.zip"), name, pickle.dumps(Evil()))
    train(*RUNS["bandit"], "--init", "run", out="on")
    assert not Path("executed").exists()
    assert RL2PPO.load("on/checkpoint.zip").history[0]["steps"] == 32


@pytest.mark.parametrize("content", ["no base 64", b"", b"\x80\x04", pickle.dumps(1)[:-2]])
def test_damaged_pickles_are_told(content: Any) -> None:
    train(*RUNS["bandit"])
    plant(Path("run/checkpoint.zip"), "ent_coef", content)
    with pytest.raises(ValueError, match=r"checkpoint\.zip is damaged: ent_coef"):
        check_harmless(Path("run/checkpoint.zip"))


def test_what_is_no_checkpoint() -> None:
    Path("x").write_text("text")
    with pytest.raises(ValueError, match="x is not a checkpoint, or a damaged one"):
        attributes(Path("x"))
    for data in ("[1]", "{", None):
        with zipfile.ZipFile("x", "w") as archive:
            if data is not None:
                archive.writestr("data", data)
        with pytest.raises(ValueError, match="x is not a checkpoint"):
            attributes(Path("x"))


@pytest.mark.parametrize("damage", ["config.json", "policy.pth", "num_timesteps"])
def test_a_damaged_run_gives_no_weights(damage: str) -> None:
    train(*RUNS["bandit"])
    if damage == "config.json":
        Path("run/config.json").unlink()
    else:
        with zipfile.ZipFile("run/checkpoint.zip") as archive:
            parts = {part: archive.read(part) for part in archive.namelist()}
        data = json.loads(parts["data"])
        data.pop(damage, None)
        parts["data"] = json.dumps(data).encode()
        parts["policy.pth"] = parts["policy.pth"][: -10 if damage == "policy.pth" else None]
        with zipfile.ZipFile("run/checkpoint.zip", "w") as archive:
            for part, content in parts.items():
                archive.writestr(part, content)
    with pytest.raises(SystemExit, match=r"^rl2 train: run holds no whole run \("):
        train(*RUNS["bandit"], "--init", "run", out="on")
    assert not Path("on").exists()
