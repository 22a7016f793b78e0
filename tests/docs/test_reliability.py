"""The law of docs/reliability.md: every promise names a test, and the test is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_is_named_exists() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    for row in rows:
        named = re.fullmatch(r"\| .+ \| .+ \| `(tests/.+\.py)::(test_\w+)` \|", row)
        assert named, row
        assert re.search(rf"^def {named[2]}\(", (ROOT / named[1]).read_text(), re.M), row
