"""`r2d2 bench learner | actor | train`: where the time of a preset goes on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

import tyro

from r2d2.cli.main import UserError, known, named_preset, pick_preset, shorten
from r2d2.config import Config

USAGE = """usage: r2d2 bench learner | actor | train [PRESET] [--repeats N] [--any.config.field VALUE]

  learner   one update, from the draw of its batch to its priorities, stage by stage
  actor     one step of all environments
  train     an update and the acting steps that the replay ratio gives it, in turns

Beside each stage stands its floor: its operations at the rate of a matrix product measured here, or its bytes at
that of a copy. The replay is filled with a few batches' worth of random play first."""

KINDS = ("learner", "actor", "train")


@dataclass(frozen=True)
class Bench:
    """Time the stages; every number of the preset can be overridden."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    repeats: int = 10
    """Timed updates, or acting steps, of which the median is shown."""


def main(args: list[str]) -> int:
    """`r2d2 bench`."""
    if not args or args[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if args else 2
    what, *args = args
    if what not in KINDS:
        raise UserError(f"unknown benchmark {what!r}: {known(what, KINDS)}")
    name, args = (args[0], args[1:]) if args and not args[0].startswith("-") else (pick_preset()[0], args)
    parsed = tyro.cli(
        Bench, args=shorten(args), default=Bench(named_preset(name)), prog=f"r2d2 bench {what} {name}"
    )
    if parsed.repeats < 1:
        raise UserError(f"--repeats must be at least 1, got {parsed.repeats}")
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # or torch's profiler says that it starts and stops
    from r2d2.runtime import profile  # torch takes seconds to import: not for a mistyped option

    bench = profile.Workbench(parsed.config)
    print(f"{what}, preset {name}, {parsed.config.env.id}, median of {parsed.repeats}")
    print("\n".join(profile.report(what, bench, parsed.repeats)))
    return 0
