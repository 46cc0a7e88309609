import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rl2_sb3 import make_trials, registry
from rl2_sb3.cli import main
from rl2_sb3.registry import AGENTS, BASELINES, MEMORIES, TASKS, Registry, did_you_mean

REGISTRY = Registry("rl2_sb3_test.fruits", "fruit kind")

Install = Callable[..., None]


@pytest.fixture
def install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget: Callable[[str], None]
) -> Install:
    """Put a distribution on sys.path: its version is 1.0, its one module that of its name."""

    def install(
        distribution: str, *entries: str, source: str = "thing = 7", group: str = REGISTRY.group
    ) -> None:
        site = tmp_path / distribution
        info = site / f"{distribution}-1.0.dist-info"
        info.mkdir(parents=True)
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        (info / "METADATA").write_text(metadata)
        (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *entries]) + "\n")
        (site / f"{distribution}.py").write_text(source)
        monkeypatch.syspath_prepend(site)
        forget(distribution)

    return install


def test_plugin_is_listed_without_import_and_loaded_by_name(install: Install) -> None:
    install("orchard", "pear = orchard:thing", "apple = orchard")

    assert REGISTRY.names() == ["apple", "pear"]
    assert "pear" in REGISTRY
    assert "plum" not in REGISTRY
    assert REGISTRY.distribution("pear") == "orchard 1.0"
    assert "orchard" not in sys.modules

    assert REGISTRY.load("pear") == 7
    assert REGISTRY.load("apple") is sys.modules["orchard"]


@pytest.mark.parametrize(
    ("group", "registry"),
    [
        ("rl2_sb3.tasks", TASKS),
        ("rl2_sb3.memories", MEMORIES),
        ("rl2_sb3.baselines", BASELINES),
        ("rl2_sb3.agents", AGENTS),
        ("rl2_sb3.checkpoints", AGENTS),  # its earlier name
    ],
)
def test_each_group_has_its_registry(install: Install, group: str, registry: Registry) -> None:
    install("orchard", "pear = orchard:thing", group=group)

    assert [r for r in (TASKS, MEMORIES, BASELINES, AGENTS) if "pear" in r] == [registry]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pears", "No fruit kind 'pears'. Did you mean 'pear'? Installed: apple, pear."),
        ("kumquat", "No fruit kind 'kumquat'. Installed: apple, pear."),
    ],
)
def test_misspelt_name_gets_the_nearest_one(install: Install, name: str, message: str) -> None:
    install("orchard", "pear = orchard:thing", "apple = orchard:thing")

    for method in (REGISTRY.load, REGISTRY.distribution):
        with pytest.raises(ValueError, match=r"^No fruit kind") as caught:
            method(name)
        assert str(caught.value) == message


def test_a_plugin_that_could_be_installed_is_pointed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "plugins" / "orchard"
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        f'[project.entry-points."{REGISTRY.group}"]\npear = "orchard:thing"\n\n'
        f'[project.entry-points."{TASKS.group}"]\n# a comment\npear = "orchard:thing"\n'
        '[tool]\nplum = "x"\n'
    )
    monkeypatch.setattr(registry, "CHECKOUT", tmp_path)
    with pytest.raises(ValueError, match=r"No fruit kind 'pear'\. `.* -e plugins/orchard` adds it"):
        REGISTRY.load("pear")
    assert REGISTRY.in_checkout() == TASKS.in_checkout("pear") == "plugins/orchard"
    assert REGISTRY.in_checkout("plum") is TASKS.in_checkout("plum") is None
    assert BASELINES.in_checkout() is None
    with pytest.raises(ValueError, match=r"`.* -e plugins/orchard` adds it"):
        make_trials("pear")
    with pytest.raises(SystemExit, match=r"`.* -e plugins/orchard` adds it"):
        main(["train", "pear", "--size", "large"])


def test_empty_group_says_so() -> None:
    with pytest.raises(ValueError, match=r"^No fruit kind 'pear'\. Installed: none\.$"):
        REGISTRY.load("pear")


@pytest.mark.parametrize(
    ("entry", "source", "cause"),
    [
        ("rotten:thing", "import not_installed_anywhere", ModuleNotFoundError),
        ("rotten:thing", "1 / 0", ZeroDivisionError),
        ("rotten:thing", "thing =", SyntaxError),
        ("rotten:nothing", "thing = 7", AttributeError),
    ],
)
def test_broken_plugin_is_named_and_hinders_no_other(
    install: Install, entry: str, source: str, cause: type[Exception]
) -> None:
    install("orchard", "pear = orchard:thing")
    install("rotten", f"plum = {entry}", source=source)

    assert REGISTRY.names() == ["pear", "plum"]
    assert REGISTRY.load("pear") == 7
    with pytest.raises(
        RuntimeError,
        match=rf"^Fruit kind 'plum' .* {entry} of rotten 1\.0 raised {cause.__name__}:",
    ) as caught:
        REGISTRY.load("plum")
    assert isinstance(caught.value.__cause__, cause)


def test_name_registered_twice_is_refused_and_hinders_no_other(install: Install) -> None:
    install("orchard", "pear = orchard:thing", "apple = orchard:thing")
    install("market", "pear = market:thing")

    assert REGISTRY.names() == ["apple", "pear"]
    assert REGISTRY.load("apple") == 7
    for method in (REGISTRY.load, REGISTRY.distribution):
        with pytest.raises(RuntimeError, match=r"'pear' .*: market 1\.0, orchard 1\.0\."):
            method("pear")
    assert "market" not in sys.modules


def test_what_goes_on_after_a_name_is_nearer_than_what_is_spelt_alike() -> None:
    names = ["bandit-k10-n10", "bandit-k10-n100-imitation", "bandit-k10-n100-privileged"]
    hint = " Did you mean 'bandit-k10-n100-imitation' or 'bandit-k10-n100-privileged'?"
    assert did_you_mean("bandit-k10-n100", names) == hint
    assert did_you_mean("bandit-k10-n11", names) == " Did you mean 'bandit-k10-n10'?"
    assert did_you_mean("", names) == ""
