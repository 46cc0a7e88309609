"""The page for plugins' authors: its lists are the code's."""

import re
from pathlib import Path

import pytest

from rl2_sb3 import registry
from rl2_sb3.registry import Registry
from rl2_sb3.reserved import RESERVED

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "plugins.md").read_text(encoding="utf-8")


def test_the_reserved_names_are_listed() -> None:
    section = PAGE[PAGE.index("These names are taken") : PAGE.index("## What check_tasks says")]
    listed = re.findall(r"`(\w+)`", section.partition("refuse them:")[2])
    assert listed == list(RESERVED)


def test_the_messages_are_those_of_check_tasks() -> None:
    """Each quoted message, without what differs, stands in the code."""
    root = DOCS.parent / "rl2_sb3"
    files = [*sorted((root / "testing").glob("*.py")), root / "reserved.py"]
    code = re.sub(r'"\n\s*f?"', "", "".join(file.read_text(encoding="utf-8") for file in files))
    table = PAGE[PAGE.index("| message |") : PAGE.index("## Entry points")]
    rows = [line.split("|")[1] for line in table.splitlines()[2:] if line.startswith("|")]
    assert len(rows) > 20
    for message in (message for row in rows for message in re.findall(r"`(.+?)`", row)):
        for part in re.split(r"…|\b64\b|10000|\blist\b|gymnasium's|[{}']", message):
            assert part.strip() in code, message


def test_the_groups_of_entry_points_are_listed() -> None:
    groups = [each.group for each in vars(registry).values() if isinstance(each, Registry)]
    assert re.findall(r"^\| `(rl2_sb3\.\w+)` \|", PAGE, re.MULTILINE) == groups


@pytest.mark.parametrize("file", [*sorted(DOCS.glob("*.md")), DOCS.parent / "README.md"])
def test_links_lead_somewhere(file: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)", file.read_text(encoding="utf-8")):
        if not link.startswith("http") and not link.endswith(".png"):
            assert (file.parent / link).exists(), f"{link} in {file.name}"
