"""`r2d2 replay export`: the replay of a run as a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from r2d2.cli.arguments import Out, RunDir, check_bounds, parse
from r2d2.cli.command import Command
from r2d2.cli.replay.info import describe
from r2d2.config.bounds import COUNT, Bounds


@dataclass(frozen=True)
class Export:
    """Write the replay of a run, or a part of it, as a dataset."""

    run_dir: RunDir
    """The run's folder."""
    out: Out
    """The dataset's folder; it must not exist."""
    checkpoint: Path | None = None
    """Use this checkpoint instead of the newest."""
    steps: Annotated[int, COUNT] | None = None
    """Export only the newest N steps."""
    min_return: Annotated[float, Bounds(-1e30, 1e30)] | None = None
    """Export only whole episodes with at least this return: demonstrations."""


def run(args: list[str]) -> int:
    """`r2d2 replay export`."""
    parsed = parse(Export, args, prog="r2d2 replay export")
    check_bounds(parsed)
    from r2d2.runtime.dataset_runs import export_run  # torch takes seconds to import: not for --help

    dataset = export_run(
        parsed.run_dir, parsed.out, parsed.checkpoint, steps=parsed.steps, min_return=parsed.min_return
    )
    print("\n".join(describe(dataset)))
    return 0


COMMAND = Command(
    "RUN_DIR OUT [--checkpoint PATH] [--steps N] [--min-return R]",
    "write the replay of a run, or a part of it, as a dataset",
    run,
)
