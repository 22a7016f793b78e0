"""`r2d2 report`: a page with figures about runs."""

from __future__ import annotations

import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from r2d2.cli.arguments import UsageError, parse
from r2d2.cli.command import Command


@dataclass(frozen=True)
class Report:
    """Write one self-contained page about runs, with its figures as PNG and its numbers as CSV beside it."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN_OR_STUDY ...")]
    """Run folders, or folders that contain runs; they may still be running."""
    out: Path | None = None
    """Folder of the report; default is `report` in the given folder, or here if there are several."""
    goal: float | None = None
    """A return to mark in the learning curves; the table of runs shows when it was first reached."""
    open: bool = False
    """Open the page in a browser."""


def run(args: list[str]) -> int:
    """`r2d2 report`."""
    parsed = parse(Report, args, prog="r2d2 report")
    if not parsed.runs:
        raise UsageError("name at least one run's folder, or a folder that holds runs")
    from r2d2.report.report import write  # matplotlib takes a while to import: not for --help

    out = parsed.out or (parsed.runs[0] / "report" if len(parsed.runs) == 1 else Path("report"))
    page = write(parsed.runs, out, parsed.goal)
    print(page)
    if parsed.open:
        webbrowser.open(page.resolve().as_uri())
    return 0


COMMAND = Command(
    "RUN_OR_STUDY ... [--out DIR] [--goal RETURN] [--open]",
    "show what runs did: one page, with PNG and CSV files",
    run,
)
