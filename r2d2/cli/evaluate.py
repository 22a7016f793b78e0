"""`r2d2 evaluate`: greedy episodes of a trained network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from r2d2.cli.arguments import RunDir, UserError, parse
from r2d2.cli.command import Command


@dataclass(frozen=True)
class Evaluate:
    """Play greedy episodes with a trained network, under the run's own protocol."""

    run_dir: RunDir
    """The run's folder."""
    episodes: int = 10
    """Episodes, one environment each."""
    video: bool = False
    """Also film one episode into RUN_DIR/videos."""
    memory: tuple[int, ...] = ()
    """Instead, episodes with the recurrent state of the last K observations only, for each of these K."""
    seed: int = 1_000_000
    """Seed of the environments."""
    checkpoint: Path | None = None
    """This checkpoint instead of the newest."""


def run(args: list[str]) -> int:
    """`r2d2 evaluate`."""
    parsed = parse(Evaluate, args, prog="r2d2 evaluate")
    for name, least in (("episodes", 1), ("seed", 0)):
        if getattr(parsed, name) < least:
            raise UserError(f"--{name} must be at least {least}, got {getattr(parsed, name)}")
    from r2d2.runtime import run_folder  # torch takes seconds to import: not for --help

    if parsed.memory:
        return run_folder.memory_test(
            parsed.run_dir,
            parsed.checkpoint,
            histories=list(parsed.memory),
            episodes=parsed.episodes,
            seed=parsed.seed,
        )
    return run_folder.evaluate(
        parsed.run_dir, parsed.checkpoint, episodes=parsed.episodes, video=parsed.video, seed=parsed.seed
    )


COMMAND = Command(
    "RUN_DIR [--episodes N] [--seed S] [--video] [--memory K ...]",
    "play greedy episodes under the training protocol",
    run,
)
