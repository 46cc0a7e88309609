"""Visits of the play page in a real browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from docs.play.__main__ import HERE

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
needs_browser = pytest.mark.skipif(not BROWSER, reason="needs chromium: apt-get install chromium")


def browse(page: Path, script: str) -> dict[str, Any]:
    """What a script finds that visits the page and leaves JSON in a <pre>."""
    text = (HERE / "index.html").read_text(encoding="utf-8")
    page.write_text(text.replace("</body>", script), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=500,900"]
    profile = f"--user-data-dir={page.parent / 'profile'}"
    budget = "--virtual-time-budget=60000"  # milliseconds of the page's clock, which runs ahead
    command = [BROWSER, *flags, profile, budget, "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search("<pre>(.*)</pre>", done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    told: dict[str, Any] = json.loads(html.unescape(found[1]))
    return told
