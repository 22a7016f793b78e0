"""`r2d2 evaluate`: greedy episodes of a trained network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from r2d2.cli.arguments import RunDir, check_bounds, parse
from r2d2.cli.command import Command
from r2d2.config.bounds import Bounds
from r2d2.report.intervals import interval


@dataclass(frozen=True)
class Evaluate:
    """Play greedy episodes with a trained network, under the run's own protocol."""

    run_dir: RunDir
    """The run's folder."""
    episodes: Annotated[int, Bounds(1, 10**5)] = 10
    """Episodes, one environment each."""
    video: bool = False
    """Also record one episode as a video in RUN_DIR/videos."""
    memory: tuple[Annotated[int, Bounds(1, 10**4)], ...] = ()
    """Instead, play with the recurrent state of only the last K observations, for each of these K."""
    seed: Annotated[int, Bounds(0, 2**30)] = 1_000_000
    """Seed of the environments."""
    checkpoint: Path | None = None
    """Use this checkpoint instead of the newest."""


def run(args: list[str]) -> int:
    """`r2d2 evaluate`."""
    parsed = parse(Evaluate, args, prog="r2d2 evaluate")
    check_bounds(parsed)
    from r2d2.runtime import evaluation  # torch takes seconds to import: not for --help

    if parsed.memory:
        return evaluation.memory_test(
            parsed.run_dir,
            parsed.checkpoint,
            histories=list(parsed.memory),
            episodes=parsed.episodes,
            seed=parsed.seed,
        )
    result, file = evaluation.evaluate(
        parsed.run_dir, parsed.checkpoint, episodes=parsed.episodes, video=parsed.video, seed=parsed.seed
    )
    print(*evaluation_lines(result, file), sep="\n")
    return 0


def evaluation_lines(result: Mapping[str, Any], file: Path) -> list[str]:
    """The result of `r2d2 evaluate` as text: the mean with its interval first, then where the rest is.

    >>> result = {"returns": [1.0, 2.0, 3.0, 4.0, 5.0], "checkpoint": "c", "env_steps": 9000, "seed": 7}
    >>> print(*evaluation_lines(result, Path("run/e.json")), sep="\\n")
    mean return 3.00, 95 % interval 1.80 to 4.20 (5 episodes)
    checkpoint c at 9,000 steps, seed 7
    all numbers: run/e.json
    """
    found = interval(result["returns"])
    count = len(result["returns"])
    ends = f", 95 % interval {found.low:,.2f} to {found.high:,.2f}" if count > 1 else ""
    lines = [
        f"mean return {found.mean:,.2f}{ends} ({count} episode{'s' if count > 1 else ''})",
        f"checkpoint {result['checkpoint']} at {result['env_steps']:,} steps, seed {result['seed']}",
        f"all numbers: {file}",
    ]
    if "video" in result:
        lines.append(
            f"video of an episode with return {result['video']['return']:,.2f}: {result['video']['file']}"
        )
    return lines


COMMAND = Command(
    "RUN_DIR [--episodes N] [--seed S] [--video] [--memory K ...]",
    "play greedy episodes under the training protocol",
    run,
)
