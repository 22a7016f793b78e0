"""What a page of docs/ asks its reader to do, done.

Blocks in their order: `bash` blocks are run, and so are `python` blocks, unless their first line is a comment that
names a file: then they become that file. A `diff` block names its file in the same way and adds its lines behind a
line of it. Blocks of any other kind (`sh`, none) are shown and not run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SECONDS = 300  # that a block may take


class Block(NamedTuple):
    """A fenced block of a page."""

    kind: str
    text: str

    @property
    def file(self) -> str:
        """The file that its first line names; empty if it names none."""
        named = re.match(r"# ([\w./-]+\.\w+)\n", self.text)
        return named[1] if named else ""


def blocks(page: Path) -> list[Block]:
    """The blocks of a page that something is done with."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    return [Block(kind, text) for kind, text in found if kind in ("bash", "diff", "python")]


def follow(page: Path, folder: Path, source: Path = ROOT) -> str:
    """Do what a page says, in a folder, with the code in `source`; returns what was printed."""
    said = ""
    for block in blocks(page):
        if block.kind == "diff":
            insert(block, folder)
        elif block.kind == "python" and block.file:
            (folder / block.file).write_text(block.text)
        else:
            said += run(block, folder, source)
    return said


def insert(block: Block, folder: Path) -> None:
    """Add the lines marked with + behind the line before them."""
    file = folder / block.file
    _, before, *added = block.text.splitlines()
    text, line = file.read_text(), before[1:] + "\n"
    assert text.count(line) == 1, f"{block.file} must have the line {line!r} once"
    assert all(new.startswith("+") for new in added), block.text
    file.write_text(text.replace(line, line + "".join(new[1:] + "\n" for new in added)))


def run(block: Block, folder: Path, source: Path) -> str:
    """Run a block as a user would, with `r2d2` and `python` on the path."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name, words in (("r2d2", "-P -m r2d2"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        (programs / name).chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    environment = dict(os.environ) | {"PATH": path, "PYTHONPATH": str(source), "COLUMNS": "80"}
    shell = ["bash", "-ec"] if block.kind == "bash" else [sys.executable, "-c"]
    done = subprocess.run(
        [*shell, block.text], cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"
    return done.stdout
