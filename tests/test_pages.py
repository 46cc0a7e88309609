"""The documentation's site: it builds without a warning, and what its pages show runs.

A page is one session in an empty folder: its Python shares its names, its commands find what came
before, and a block with a title is a file of that name. What cannot run here is marked in the page,
``<!-- not run: why -->`` before the block.
"""

from __future__ import annotations

import glob
import html
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import pytest

from rl2_sb3 import registry
from rl2_sb3.cli import main

ROOT = Path(__file__).parents[1]
NAV = re.findall(
    r"^ +- (?:.*: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M
)
BLOCK = re.compile(
    r'^(?:<!-- not run: (?P<why>[^\n]+) -->\n)?```(?P<kind>\w+)(?: title="(?P<title>[^"]+)")?\n'
    r"(?P<text>.*?)^```$(?:\n\n```\n(?P<printed>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
COMMANDS = ("bash", "console", "sh")
NOT_RUN = {
    "quickstart.md": 1,
    "plugins.md": 1,
    "scale.md": 1,
    "ranks.md": 2,
    "sweeps.md": 4,
    "tracking.md": 2,
    "speed.md": 2,
    "export.md": 1,
    "paper.md": 1,
    "plugins/rl2-paper/docs/table1.md": 1,
    "plugins/rl2-paper/docs/table2.md": 1,
    "plugins/rl2-paper/docs/table3.md": 1,
}
"""How many blocks of a page are not run."""
NEEDS = {"export.md": ("onnxruntime",), "tracking.md": ("wandb",)}
"""What pages need beside the package itself."""


class Block(NamedTuple):
    """A block of code."""

    why: str
    """Why it is not run, or nothing."""
    kind: str
    title: str
    text: str
    printed: str
    """What it prints, if the page has that below it."""


def read_page(name: str) -> list[Block]:
    """The blocks of a page."""
    page = ROOT / "docs" / name
    text = (page if page.exists() else ROOT / name).read_text(encoding="utf-8")
    found = [Block(*(part or "" for part in each.groups())) for each in BLOCK.finditer(text)]
    assert len(found) == len(re.findall(r"^```\w", text, re.M)), f"{name}: a block is not read"
    return found


def is_run(block: Block) -> bool:
    return block.kind == "python" or block.kind in COMMANDS


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder; what a page registers is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for each in vars(registry).values():
        if isinstance(each, registry.Registry):
            monkeypatch.setattr(each, "_registered", {})
    yield
    plt.close("all")


def run_command(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a line as a shell would; ``rl2`` in this process, which has torch already."""
    words = shlex.split(line, comments=True)
    with monkeypatch.context() as settings:
        while words and re.fullmatch(r"[A-Z_0-9]+=.*", words[0]):
            settings.setenv(*words.pop(0).split("=", 1))
        if words[:1] == ["rl2"]:
            spread = [sorted(glob.glob(word)) or [word] for word in words[1:]]
            main([word for found in spread for word in found])
        elif words:
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
            done = subprocess.run(line, shell=True, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("name", [name for name in NAV if not name.startswith("api/")])
def test_what_a_page_shows_runs(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = [block for block in read_page(name) if not block.why]
    if any(map(is_run, blocks)):
        for module in NEEDS.get(name, ()):
            pytest.importorskip(module)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks:
        if block.title:  # a file, which a command takes
            Path(block.title).write_text(block.text, encoding="utf-8")
        elif block.kind == "python":
            capsys.readouterr()
            exec(compile(block.text, name, "exec"), names)
            assert capsys.readouterr().out == block.printed or not block.printed
        elif block.kind in COMMANDS:
            for line in block.text.replace("\\\n", "").splitlines():
                run_command(line, monkeypatch)


def test_what_is_not_run_is_counted() -> None:
    counts = {name: sum(bool(block.why) for block in read_page(name)) for name in NAV}
    assert {name: count for name, count in counts.items() if count} == NOT_RUN


def test_all_pages_are_on_the_site() -> None:
    docs = ROOT / "docs"
    here = [path.relative_to(docs).as_posix() for path in docs.rglob("*.md")]
    assert sorted(here) == sorted(name for name in NAV if (docs / name).exists())


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="needs rl2-sb3[docs]")
    pytest.importorskip("mkdocstrings_handlers.python", reason="needs rl2-sb3[docs]")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    pages = [path for path in tmp_path.rglob("*.html") if path.parent.name != "play"]
    assert len(pages) == len(NAV) + 1  # and that of what is not found
    loaded = r'(?:<script|<link[^>]*rel="stylesheet"|<img)[^>]*(?:src|href)="(https?:[^"]+)'
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.findall(loaded, text), f"{page}: from the network"
        for link in re.findall(r'(?:src|href)="([^":#?]+)["#?]', text):
            assert (page.parent / link).exists() or page.name == "404.html", f"{link} in {page}"
    assert "RL² in the paper" in (tmp_path / "paper.html").read_text(encoding="utf-8")
    examples = html.unescape((tmp_path / "examples.html").read_text(encoding="utf-8"))
    for script in (ROOT / "examples").glob("*.py"):
        assert script.read_text(encoding="utf-8").splitlines()[0] in examples, script
    assert (tmp_path / "play" / "index.html").exists()
