"""`r2d2 runs`: a table of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich import box
from rich.console import Console
from rich.table import Table

from r2d2.cli.arguments import parse
from r2d2.cli.command import Command
from r2d2.report.run import Run, read_runs
from r2d2.report.settings import changes, describe

PIPE = 200  # columns without a terminal; ours


@dataclass(frozen=True)
class Runs:
    """A table of the runs in a folder, with their progress and scores."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")] = Path("runs")
    """A folder that contains runs, or a run's own."""


def run(args: list[str]) -> int:
    """`r2d2 runs`."""
    parsed = parse(Runs, args, prog="r2d2 runs")
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE)
    console.print(table(read_runs([parsed.folder])))
    return 0


def table(runs: Sequence[Run]) -> Table:
    """One row per run. Scores are greedy returns, or training returns if there was no evaluation yet."""
    made = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    for name in ("run", "task", "preset and changes"):
        made.add_column(name, overflow="fold")
    for name in ("steps", "best", "last", "minutes"):
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("state", no_wrap=True)
    for one in runs:
        changed = describe(changes(one))
        scores = ["" if score is None else f"{score:.4g}" for score in (one.best, one.last)]
        made.add_row(
            one.name,
            one.task,
            f"{one.preset}, {changed}" if changed else one.preset,
            f"{one.env_steps:,}",
            *scores,
            f"{one.minutes:,.1f}",
            one.state,
        )
    return made


COMMAND = Command("[FOLDER]", "list runs: task, preset and changes, steps, scores, minutes, state", run)
