"""``rl2 new``: what it writes is installed, passes its test, trains, is evaluated and watched."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rl2_sb3.cli import main
from tests.installing import Install, installer

install = pytest.fixture(installer)

COMMANDS = """
from rl2_sb3.cli import main

for command in (
    "tasks long-tunnel",
    "train long-tunnel --steps 512 --n-envs 8 --episodes 2 --hidden-size 4 --no-progress --length 5"
    " --out run",
    "evaluate run --against random --trials 30",
    "watch run --width 5 --out run/sheet.png",
):
    main(command.split())
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", ["batched", "gymnasium"])
def test_a_new_plugin_works_at_once(
    kind: str, install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["new", "rl2-long-tunnel", "--kind", kind])
    folder = tmp_path / "rl2-long-tunnel"
    written = {path.name: path.read_text() for path in folder.iterdir()}
    printed = capsys.readouterr().out
    next_steps = [line.strip() for line in printed.splitlines() if line.startswith("  rl2 ")]
    assert [step.split()[1] for step in next_steps] == ["tasks", "train"]
    assert all(step in written["README.md"] for step in next_steps)
    assert sorted(written) == [
        *("README.md", "pyproject.toml", "rl2_long_tunnel.py", "test_rl2_long_tunnel.py"),
    ]
    assert "class LongTunnelTasks(" in written["rl2_long_tunnel.py"]
    assert not any("my" in text.lower().replace("-", "_").split("_") for text in written.values())
    python = install(folder)
    (folder / "rl2_long_tunnel.py").unlink()  # its test is of what is installed
    python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder))

    printed = python("-c", COMMANDS)
    assert "--length 7" in printed
    assert "Metrics of episodes" in printed
    assert "Episodes that succeed" in printed
    with Image.open(tmp_path / "run" / "sheet.png") as sheet:
        first = np.asarray(sheet)[16, :5]
    np.testing.assert_array_equal(first[2], (0, 90, 200))
    assert (first == (60, 180, 75)).all(axis=1).sum() == 1


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("3d-maze", "'3d-maze' is no package's name: use lower-case letters.* as in rl2-corridor"),
        ("My-Tasks", "'My-Tasks' is no package's name"),
        ("../up", "is no package's name"),
        ("class", "class is a reserved name in Python: try rl2-class-tasks"),
        ("json", "json is a reserved name in Python: try rl2-json-tasks"),
        ("setup", "setup is a reserved name"),
        ("rl2-batched", "would be called BatchedTasks, as its base class is: choose another"),
        ("rl2-bandit", "'bandit', as one of rl2-sb3 .* is: choose another name"),
        ("numpy", "A module numpy is installed already: choose another name"),
        ("there", "there exists already: move it away, or choose another name"),
    ],
)
def test_names_that_will_not_do(package: str, message: str) -> None:
    Path("there").mkdir()
    with pytest.raises(SystemExit, match=message):
        main(["new", package])
    assert [path.name for path in Path().iterdir()] == ["there"]


@pytest.mark.parametrize("package", ["dummy-tasks", "rl2-mytasks"])
def test_names_like_the_templates_own(package: str) -> None:
    main(["new", package])
    assert f'name = "{package}"' in Path(package, "pyproject.toml").read_text()


def test_the_templates_are_in_the_wheel(tmp_path: Path) -> None:
    """An installed package has them, not only a checkout."""
    root = Path(__file__).parents[1]
    code = f"import setuptools.build_meta as build, sys; build.build_wheel({str(tmp_path)!r}, {{}})"
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("pyproject.toml", "LICENSE", "rl2_sb3"):
        os.symlink(root / name, copy / name)
    subprocess.run([sys.executable, "-c", code], cwd=copy, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)], check=True, capture_output=True
    ).stdout.decode()
    for kind in ("batched", "gymnasium"):
        for file in ("README.md", "pyproject.toml", "my_plugin.py", "test_my_plugin.py"):
            assert f"rl2_sb3/templates/{kind}/{file}" in names
