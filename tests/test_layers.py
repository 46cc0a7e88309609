"""Imports go downwards only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import rl2_sb3

LAYERS = [
    *("files", "registry", "options", "ranges", "processes", "config", "presets"),
    "reserved",
    *(
        "ranks",
        "pooled",
        "tasks",
        "trials",
        "memories",
        "policies",
        "agent_checks",
        "agent_file",
        "agent",
    ),
    *("significance", "tables", "provenance", "signals", "export", "evaluation", "successes"),
    *("baselines", "algorithms", "plots", "testing", "tracking", "runs", "sweeps", "cli"),
]
"""Modules and packages of rl2_sb3, the lowest first; the names in __init__ are imported late."""
ROOT = Path(rl2_sb3.__file__).parent


def imports(file: Path) -> Iterator[str]:
    """What a file imports of rl2_sb3, by the layer."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "rl2_sb3":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rl2_sb3."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            yield from (name.split(".")[1] for name in names if name.startswith("rl2_sb3."))


def test_imports_go_downwards() -> None:
    for file in sorted(ROOT.rglob("*.py")):
        layer = file.relative_to(ROOT).parts[0].removesuffix(".py")
        if layer in ("__init__", "__main__", "templates"):  # what `rl2 new` writes is a plugin's
            continue
        for imported in imports(file):
            assert LAYERS.index(imported) <= LAYERS.index(layer), f"{file} imports {imported}"


def test_the_framework_names_no_plugin_and_no_table_of_the_paper() -> None:
    for file in sorted(ROOT.rglob("*.py")):
        text = file.read_text(encoding="utf-8").lower()
        for word in ("vizdoom", "rl2_paper", "table1", "table2", "table3"):
            assert word not in text, f"{word} in {file}"
