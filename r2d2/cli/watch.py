"""`r2d2 watch`: a video of a policy with its Q values and recurrent state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from r2d2.cli.arguments import RunDir, UserError, check_bounds, parse
from r2d2.cli.command import Command
from r2d2.config.bounds import Bounds

FORMATS = (".mp4", ".gif")


@dataclass(frozen=True)
class Watch:
    """Record one greedy episode, with Q values, action and the recurrent state's norm beside the game."""

    run_dir: RunDir
    """The run's folder, or an exported policy's."""
    out: Path | None = None
    """The video file, mp4 or gif; default is RUN_DIR/videos/watch-seed<S>.mp4."""
    which: Literal["best", "last"] = "best"
    """Weights of the best greedy evaluation, or the last ones."""
    seed: Annotated[int, Bounds(0, 2**30)] = 1_000_000
    """Seed of the environment."""
    steps: Annotated[int, Bounds(1, 200_000)] = 200_000
    """Stop after this many steps if the episode has not ended."""
    fps: Annotated[int, Bounds(1, 120)] = 15
    """Steps per second of the video; an Atari step is 4 of the game's 60 frames per second."""


def run(args: list[str]) -> int:
    """`r2d2 watch`."""
    parsed = parse(Watch, args, prog="r2d2 watch")
    check_bounds(parsed)
    out = parsed.out or parsed.run_dir / "videos" / f"watch-seed{parsed.seed}.mp4"
    if out.suffix not in FORMATS:
        raise UserError(f"--out must end in one of {', '.join(FORMATS)}, got {out.name}")
    from r2d2.runs.policy_files import load  # torch takes seconds to import: not for --help
    from r2d2.viewer.names import action_names
    from r2d2.viewer.watch import film

    policy = load(parsed.run_dir, parsed.which)
    names = action_names(policy.config.env.id, policy.spec.num_actions)
    end = film(policy, out, names=names, seed=parsed.seed, fps=parsed.fps, most=parsed.steps)
    print(f"{out}\nreturn {end.total:,.4g} in {end.step:,} steps")
    return 0


COMMAND = Command(
    "RUN_DIR [--out FILE.mp4|.gif] [--which best|last] [--seed S]",
    "film an episode with Q values, action and recurrent state",
    run,
)
