"""`r2d2 export`: the policy of a run, without its replay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from r2d2.cli.arguments import Out, RunDir, parse
from r2d2.cli.command import Command


@dataclass(frozen=True)
class Export:
    """Write only the policy of a run: its weights, its config and the environment's spec. `r2d2.load` reads it on
    any machine, without the environment's package."""

    run_dir: RunDir
    """The run's folder."""
    out: Out
    """The new folder."""
    which: Literal["best", "last"] = "best"
    """The weights with the best greedy evaluation, or the last ones."""


def run(args: list[str]) -> int:
    """`r2d2 export`."""
    parsed = parse(Export, args, prog="r2d2 export")
    from r2d2.runs.policy_files import export  # torch takes seconds to import: not for --help

    policy = export(parsed.run_dir, parsed.out, parsed.which)
    print(f"{parsed.out}: {policy}")
    print(f"in Python: policy = r2d2.load({str(parsed.out)!r})")
    return 0


COMMAND = Command("RUN_DIR OUT [--which best|last]", "write the policy alone, for r2d2.load", run)
