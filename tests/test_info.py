import json
import platform
import subprocess
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch as th

from rl2_sb3 import provenance
from rl2_sb3.algorithms import threads
from rl2_sb3.cli import main
from rl2_sb3.memories import native

OURS = f"rl2-sb3 {metadata.version('rl2-sb3')}"


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    main(["info", "--json"])
    return json.loads(capsys.readouterr().out)


def test_it_tells_versions_processor_and_plugins(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "MOST", 8)
    monkeypatch.setattr(threads, "processors", lambda: 6)
    monkeypatch.setattr(th, "get_num_threads", lambda: 6)
    monkeypatch.setattr(import_module("rl2_sb3.cli.info"), "processors", lambda: 6)
    monkeypatch.setattr(provenance, "version", lambda: "abc1234-dirty")
    facts = told(capsys)
    main(["info"])
    lines = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())

    for name in ("rl2-sb3", "torch", "stable-baselines3", "sb3-contrib", "gymnasium", "numpy"):
        assert facts["versions"][name] == lines[name] == metadata.version(name)
    assert lines["optuna"] == metadata.version("optuna")
    assert lines["commit"] == "abc1234-dirty"
    assert lines["Python"] == platform.python_version()
    assert lines["processor"].endswith(", 6 cores usable")
    assert th.backends.cpu.get_cpu_capability() in lines["processor features"]
    assert facts["threads"] == {"torch": 6, "64 units": 1, "256 units": 4}
    assert lines["threads"] == "torch 6; learning takes 1 for 64 units, 4 for 256 units"
    assert facts["plugins"][OURS]["task distributions"] == ["bandit", "tabular-mdp"]
    assert "ucb1" in facts["plugins"][OURS]["baselines"]
    assert "task distributions bandit, tabular-mdp; baselines" in lines[f"plugins of {OURS}"]
    assert lines["native recurrence"] == facts["native recurrence"]


def test_it_tells_of_the_native_recurrence_or_why_there_is_none(
    library: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = th.backends.cpu.get_cpu_capability()
    for has_products, products in ((True, "bf16 products"), (False, "no bf16 products")):
        monkeypatch.setattr(th.ops.rl2_sb3, "has_bf16", lambda answer=has_products: answer)
        assert told(capsys)["native recurrence"] == f"yes ({vectors}, {products}, {library})"
    monkeypatch.setattr(native, "load", lambda: (None, "there is no C++ compiler."))
    assert told(capsys)["native recurrence"] == "no (there is no C++ compiler.)"


def test_there_is_a_commit_only_in_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "version", lambda: metadata.version("rl2-sb3"))
    assert "commit" not in provenance.versions()


def test_what_need_not_be_installed_is_told_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "OPTIONAL", ("pytest", "not-installed-anywhere"))
    versions = provenance.versions()
    assert versions["pytest"] == metadata.version("pytest")
    assert "not-installed-anywhere" not in versions


def test_a_broken_plugin_is_told_and_hinders_no_other(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    forget: Callable[[str], None],
) -> None:
    folder = tmp_path / "rotten-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: rotten\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        "[rl2_sb3.tasks]\napple = rotten:missing\n"
        "[rl2_sb3.baselines]\nplum = rotten:thing\n"
        "[rl2_sb3.agents]\nlost = rotten:nowhere\npear = rotten:thing\n"
    )
    (tmp_path / "rotten.py").write_text("thing, nowhere = 7, 'nowhere.safetensors'\n")
    monkeypatch.syspath_prepend(tmp_path)
    forget("rotten")

    facts = told(capsys)

    broken = facts["broken plugins"]
    assert "apple" in broken["task distribution apple"]
    assert "rotten:missing of rotten 1.0 raised AttributeError" in broken["task distribution apple"]
    assert "nowhere.safetensors" in broken["agent lost"]
    assert broken["agent pear"].startswith("TypeError: ")
    assert facts["plugins"]["rotten 1.0"] == {"baselines": ["plum"]}
    assert facts["plugins"][OURS]["task distributions"] == ["bandit", "tabular-mdp"]
    main(["info"])
    printed = capsys.readouterr().out
    assert f"broken agent lost: {broken['agent lost']}\n" in printed
    assert "plugins of rotten 1.0: baselines plum\n" in printed


@pytest.mark.parametrize(
    ("system", "output", "name"),
    [
        ("Linux", "Vendor ID: ARM\n  Model name:   Neoverse-N1\n", "Neoverse-N1"),
        ("Darwin", "machdep.cpu.brand_string: Apple M2\n", "Apple M2"),
        ("Linux", "Architecture: riscv64\n", "a chip"),
        ("Windows", "", "a chip"),
    ],
)
def test_the_processors_name(
    system: str, output: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "processor", lambda: "a chip")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=output))
    assert provenance.processor_name() == name


def test_without_the_systems_command_the_architecture_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setenv("PATH", "")
    assert provenance.processor_name() == "riscv64"


@pytest.mark.parametrize(
    ("machine", "capabilities", "features"),
    [
        ("aarch64", {"bf16": True}, ["NEON", "bf16"]),
        ("arm64", {"bf16": False}, ["NEON"]),
        ("aarch64", None, ["NEON"]),  # a torch that does not tell
        ("x86_64", None, ["AVX2", "AMX"]),
    ],
)
def test_the_processors_features(
    machine: str,
    capabilities: dict[str, bool] | None,
    features: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.delattr(th.cpu, "get_capabilities", raising=False)
    if capabilities is not None:
        monkeypatch.setattr(th.cpu, "get_capabilities", lambda: capabilities, raising=False)
    for name, test in provenance.FEATURES.items():
        monkeypatch.setattr(th.cpu, test, lambda name=name: name in ("AVX2", "AMX"), raising=False)
    monkeypatch.delattr(th.cpu, provenance.FEATURES["AVX-512 BF16"])
    assert provenance.processor_features() == features


def test_cuda_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(th.cuda, "is_available", lambda: True)
    monkeypatch.setattr(th.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(th.cuda, "get_device_name", lambda number: f"device {number}")
    assert provenance.cuda_devices() == ["device 0", "device 1"]
    monkeypatch.setattr(th.cuda, "is_available", lambda: False)
    assert provenance.cuda_devices() == []
