"""The command line that studies share: which seeds, how many steps, how many runs side by side, and where."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path


def study_parser(
    name: str, description: str | None, results: Path, *, first_seed: int | None = 0
) -> argparse.ArgumentParser:
    """A parser for `python -m experiments.NAME` with the shared options; without --first-seed if that is None."""
    parser = argparse.ArgumentParser(
        prog=f"experiments.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds (default 5)")
    if first_seed is not None:
        parser.add_argument(
            "--first-seed", type=int, default=first_seed, help=f"the first of them (default {first_seed})"
        )
    parser.add_argument("--steps", type=int, help="environment steps of a run instead of its own")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="runs side by side (default: cores)"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs") / name, help="folder of the runs")
    parser.add_argument("--out", type=Path, default=results, help="folder of the results")
    return parser


def parsed(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; exits with code 2 and the option's name if a number is out of its bounds."""
    options = parser.parse_args(arguments)
    for name, least in (("seeds", 1), ("first_seed", 0), ("steps", 1), ("workers", 1)):
        value = getattr(options, name, None)
        if value is not None and value < least:
            parser.error(f"--{name.replace('_', '-')} must be at least {least}, got {value}")
    return options
