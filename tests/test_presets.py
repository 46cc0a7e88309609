"""Presets are YAML files: of plugins by name, of anybody by path."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rl2_sb3 import load_agent, presets, registry
from rl2_sb3.cli import main
from rl2_sb3.presets import load, names
from rl2_sb3.registry import PRESETS

BASE = """\
# Small.
task: bandit
options: {arms: 3}
episodes: 4
steps: 1
n_envs: 8
hidden_size: 4
layers_after: [4]
learning_rate: 1e-3
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget: Callable[[str], None]) -> Path:
    """The folder of the presets of a plugin, the only one that is installed."""
    folder = tmp_path / "site" / "grove" / "presets"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "_base.yaml").write_text(BASE)
    (folder / "grove-n10.yaml").write_text("extends: _base\nepisodes: 10\nafter: grove-n4\n")
    (folder / "grove-n4.yaml").write_text("extends: _base\nseed: 2\n")
    (folder / "taught.yaml").write_text("extends: grove-n10\ncommand: imitate\nafter: null\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    forget("grove")
    monkeypatch.setattr(PRESETS, "names", lambda: ["grove"])
    monkeypatch.setattr(PRESETS, "load", importlib.import_module)
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_preset_has_what_it_extends_and_its_own(plugin: Path) -> None:
    assert names() == ["grove-n4", "grove-n10", "taught"]  # numbers in their order
    assert names("imitate") == ["taught"]
    preset = load("grove-n10")
    assert (preset.name, preset.command, preset.task) == ("grove-n10", "train", "bandit")
    assert (preset.options, preset.after) == ({"arms": 3}, "grove-n4")
    settings = {"steps": 1, "n_envs": 8, "hidden_size": 4, "layers_after": (4,)}
    assert preset.settings == {**settings, "learning_rate": 0.001, "episodes": 10}
    assert load("taught").after is None


def test_a_file_is_a_preset_and_names_others_from_where_it_lies(plugin: Path) -> None:
    folder = plugin.parents[2] / "mine"
    folder.mkdir()
    (folder / "a.yaml").write_text("extends: grove-n4\nepisodes: 5\n")
    (folder / "b.yaml").write_text("extends: a.yaml\nafter: a.yaml\nthreads: 1\n")
    main(["train", "--preset", "mine/b.yaml", "--no-progress", "--threads", "2", "--arms", "4"])
    for name, threads, arms in (("a", 2, 3), ("b", 2, 4)):
        config = json.loads(Path("runs", name, "config.json").read_text())
        assert (config["seed"], config["episodes"], config["threads"]) == (2, 5, threads)
        assert config["options"]["arms"] == arms
    assert [run["episodes"] for run in load_agent("runs/b").info["history"]] == [5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1", "mine.yaml is no preset: write name: value"),
        ("a: [", "mine.yaml is no preset: while parsing"),
        ("command: play", "command='play': write train or imitate"),
        ("options: 5", "options=5: write name: value"),
        ("extends: mine.yaml", "mine.yaml extends itself"),
        ("extends: nothing", r"No preset 'nothing'\."),
        (
            "hidden_sizes: 3\ntask: bandit",
            "Preset 'mine.yaml' of `rl2 train`: No option 'hidden_sizes'. Did you mean 'hidden_s",
        ),
    ],
)
def test_what_is_no_preset_is_refused(plugin: Path, text: str, message: str) -> None:
    Path("mine.yaml").write_text(text)
    with pytest.raises(SystemExit, match=message):
        main(["train", "--preset", "mine.yaml"])
    with pytest.raises(SystemExit, match=r"gone\.yaml is no preset: No such file or directory\."):
        main(["train", "--preset", "gone.yaml"])


def test_a_broken_plugin_hinders_no_other(plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load_plugin(name: str) -> object:
        if name == "rotten":
            raise RuntimeError("rotten is broken")
        return importlib.import_module(name)

    monkeypatch.setattr(PRESETS, "names", lambda: ["rotten", "grove"])
    monkeypatch.setattr(PRESETS, "load", load_plugin)
    assert load("grove-n4").settings["seed"] == 2
    with pytest.raises(RuntimeError, match="rotten is broken"):
        load("plum")
    monkeypatch.setattr(PRESETS, "names", lambda: ["grove", "grove"])
    with pytest.raises(RuntimeError, match="'grove-n4' is in several plugins"):
        load("grove-n4")


def test_without_plugins_it_is_told_how_to_get_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(PRESETS, "names", list)
    with pytest.raises(SystemExit) as left:
        main(["train", "--preset", "list"])
    assert not left.value.code
    assert re.search("-e plugins/rl2-paper.*` adds some.", capsys.readouterr().out)
    with pytest.raises(SystemExit, match=r"No preset 'paper'\. `.*plugins/rl2-paper.*` adds some"):
        main(["train", "bandit", "--preset", "paper"])
    monkeypatch.setattr(registry, "CHECKOUT", tmp_path)
    assert presets.how_to_get_presets() == ""


def test_pages_name_presets_that_exist() -> None:
    root = Path(__file__).parents[1]
    there = {path.stem for path in root.glob("plugins/**/presets/**/*.yaml")}
    pages = [*root.glob("*.md"), *root.glob("docs/*.md"), *root.glob("plugins/**/*.md")]
    assert pages
    for page in pages:
        for name in re.findall(r"--preset ([a-z][\w-]*-[\w-]*)", page.read_text(encoding="utf-8")):
            assert name in there, f"{name} in {page}"
