"""`r2d2 resume`: resume a stopped run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from r2d2.cli.arguments import RunDir, parse
from r2d2.cli.command import Command


@dataclass(frozen=True)
class Resume:
    """Resume a run exactly where it stopped."""

    run_dir: RunDir
    """The run's folder."""
    steps: int | None = None
    """Train up to this many environment steps instead of the run's own number."""
    checkpoint: Path | None = None
    """Use this checkpoint instead of the newest."""
    track: str | None = None
    """Weights & Biases: auto, wandb, wandb-offline or none; default is the run's own."""
    actors: int | None = None
    """Cluster runtime: this many actor processes instead of the run's own number."""
    shards: int | None = None
    """Cluster runtime: this many replay processes instead of the run's own number."""


def run(args: list[str]) -> int:
    """`r2d2 resume`."""
    parsed = parse(Resume, args, prog="r2d2 resume")
    from r2d2.runtime import training  # torch takes seconds to import: not for --help

    processes = {"actors": parsed.actors, "shards": parsed.shards}
    return training.resume(
        parsed.run_dir,
        parsed.checkpoint,
        steps=parsed.steps,
        track=parsed.track,
        processes={name: count for name, count in processes.items() if count is not None},
    )


COMMAND = Command(
    "RUN_DIR [--steps N] [--checkpoint PATH] [--track MODE]", "resume a run exactly where it stopped", run
)
