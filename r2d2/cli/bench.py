"""`r2d2 bench`: where the time of a preset goes on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

import tyro

from r2d2.cli.arguments import (
    Preset,
    UsageError,
    asks_for_help,
    check_bounds,
    known,
    named_preset,
    options_help,
    parse_with_preset,
)
from r2d2.cli.command import Command
from r2d2.config import Config, check_config
from r2d2.config.bounds import Bounds

USAGE = """usage: r2d2 bench learner | actor | train [PRESET] [--repeats N] [--any.config.field VALUE]

  learner   one update, from the draw of its batch to its priorities, stage by stage
  actor     one step of all environments
  train     an update and the acting steps per update at the replay ratio, in turn

Beside each stage is its floor: its operations at the rate of a matrix product measured here, or its bytes at the
rate of a copy. The replay is first filled with a few batches of random play.
"""


KINDS = ("learner", "actor", "train")


@dataclass(frozen=True)
class Bench:
    """Time the stages; every number of the preset can be overridden."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    what: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WHAT")] = "train"
    """learner, actor or train."""
    preset: Preset = ""
    """The agent; by default the hardware decides."""
    repeats: Annotated[int, Bounds(1, 10**6)] = 10
    """Timed updates, or acting steps, of which the median is shown."""


def run(args: list[str]) -> int:
    """`r2d2 bench`."""
    if not args or asks_for_help(args):
        print(USAGE + options_help(Bench, Bench(named_preset("r2d2")), "r2d2 bench") if args else USAGE)
        return 0 if args else 2
    parsed, preset, _ = parse_with_preset(Bench, args, prog="r2d2 bench", start=Bench)
    if parsed.what not in KINDS:
        raise UsageError(f"unknown benchmark {parsed.what!r}: {known(parsed.what, KINDS)}")
    check_bounds(parsed)
    check_config(parsed.config)
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # else torch's profiler logs that it starts and stops
    from r2d2.runtime import profile  # torch takes seconds to import: not for a mistyped option

    bench = profile.Workbench(parsed.config)
    print(f"{parsed.what}, preset {preset}, {parsed.config.env.id}, median of {parsed.repeats}")
    print("\n".join(profile.report(parsed.what, bench, parsed.repeats)))
    return 0


COMMAND = Command(
    "learner | actor | train [PRESET]", "where the time goes on this machine, stage by stage", run
)
