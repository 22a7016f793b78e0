"""The control study, `make control`: `python -m experiments.control [--agents NAME ...] [--seeds N] [--workers N]`.

Trains the agents of `cells.py` and writes curves.csv, scores.csv and README.md into --out, of all runs that are
finished. The command goes on where it stopped; Ctrl-C saves.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.control.cells import AGENTS, cell
from experiments.control.rows import curve, finish, score
from experiments.study import execute, plan, write_csv

RESULTS = Path(__file__).resolve().parents[1] / "results" / "control"


def page(scores: Sequence[dict[str, Any]], command: str) -> str:
    """The table of all finished runs."""
    lines = [
        "# Continuous control", "",
        f"Made by `{command}` on {platform.machine()} with {os.cpu_count()} cores, with other work beside it: the",
        "seconds are processor time of a whole run, its evaluations included.", "",
        "Mean return of 20 greedy episodes (Cue: 64) at the end of a run. Solved is -200 on the pendulums, and 0.8",
        "on Cue, where no memory earns 0.", "",
        "| task | agent | seeds | at the end | the worst seed | solved | steps until then | steps | cpu seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name in AGENTS:
        rows = [row for row in scores if row["agent"] == name]
        if rows:
            last = [row["last"] for row in rows]
            first = [row["solved_at"] for row in rows if row["solved_at"] is not None]
            seconds = [row["cpu_seconds"] for row in rows if row["cpu_seconds"] is not None]
            cost = f"{np.mean(seconds):.0f}" if seconds else "not measured"
            when = f"{np.mean(first):,.0f}" if first else "never"
            lines.append(
                f"| {rows[0]['task']} | {name} | {len(rows)} | {np.mean(last):.3g} | {min(last):.3g} | "
                f"{len(first)} of {len(rows)} | {when} | {rows[0]['env_steps']:,} | "
                f"{cost} |"
            )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Returns 0, 1 if a run failed, 130 if stopped."""
    options = _parse(arguments)
    changes: dict[str, Any] = {"run.track": "none", "run.threads": 1, "run.device": "cpu"}
    if options.steps:
        changes["run.steps"] = options.steps
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    jobs = plan([cell(name, changes) for name in options.agents], seeds, options.runs)
    code = execute(jobs, workers=options.workers, after=finish)
    made = [job for job in plan([cell(n, changes) for n in AGENTS], range(100), options.runs) if job.finished]
    if made:
        options.out.mkdir(parents=True, exist_ok=True)
        scores = [score(job) for job in made]
        write_csv([row for job in made for row in curve(job)], options.out / "curves.csv")
        write_csv(scores, options.out / "scores.csv")
        (options.out / "README.md").write_text(page(scores, "make control"))
    return code


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="experiments.control", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--agents", nargs="+", choices=list(AGENTS), default=list(AGENTS), help="of cells.py (all)"
    )
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds (default 5)")
    parser.add_argument("--first-seed", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--steps", type=int, help="environment steps of a run instead of the agent's own")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="runs side by side (default: cores)"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/control"), help="folder of the runs")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)
    for name in ("seeds", "steps", "workers"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    return options


if __name__ == "__main__":
    sys.exit(main())
