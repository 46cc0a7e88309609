"""What MkDocs does not do by itself: pages and pictures that lie outside of docs/.

In the repository a page may link to any file. On the site, links to files that are there are
mended, and of the others the text alone is left.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
OUTSIDE = tuple(f"plugins/rl2-paper/docs/table{number}.md" for number in (1, 2, 3))
"""Pages of the site that a command writes elsewhere."""
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#\s:/][^)#\s:]*)(#[^)\s]*)?\)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside of docs/, and the pictures there that pages show."""
    for page in OUTSIDE:
        files.append(File.generated(config, page, abs_src_path=str(ROOT / page)))
    for file in list(files.documentation_pages()):
        source = Path(str(file.abs_src_path))
        for picture, _, link, _ in LINK.findall(source.read_text(encoding="utf-8")):
            place = _place(source, link)
            if picture and not files.get_file_from_path(place) and (ROOT / place).is_file():
                files.append(File.generated(config, place, abs_src_path=str(ROOT / place)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where files lie on the site, or be text where they do not."""
    source = Path(str(page.file.abs_src_path))

    def mend(link: re.Match[str]) -> str:
        picture, text, address, anchor = link.groups()
        place = _place(source, address)
        if files.get_file_from_path(place) is None:
            return str(link[0] if _target(source, address).is_relative_to(DOCS) else text)
        relative = os.path.relpath(place, Path(page.file.src_uri).parent)
        return f"{picture}[{text}]({relative}{anchor or ''})"

    return LINK.sub(mend, markdown)


def _target(source: Path, link: str) -> Path:
    return Path(os.path.normpath(source.parent / link))


def _place(source: Path, link: str) -> str:
    """Where on the site a page's link leads: the path below docs/, or else below the repository."""
    target = _target(source, link)
    return str(target.relative_to(DOCS if target.is_relative_to(DOCS) else ROOT))
