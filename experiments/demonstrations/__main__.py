"""Demonstrations, `make demonstrations`: `python -m experiments.demonstrations [--agents NAME ...] [--seeds N]`.

Plays the demonstrations, trains the agents of `cells.py` with and without them, and writes curves.csv,
scores.csv and README.md into --out, of all runs that are finished. The command goes on where it stopped;
Ctrl-C saves.
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

from experiments.control.rows import curve, known_seconds, summary
from experiments.demonstrations.cells import AGENTS, GUESS, SOLVED, cell, dataset
from experiments.demonstrations.expert import demonstrations
from experiments.study import Job, execute, plan, write_csv
from experiments.study_options import parsed, study_parser

RESULTS = Path(__file__).resolve().parents[1] / "results" / "demonstrations"


def page(scores: Sequence[dict[str, Any]]) -> str:
    """The table of all finished runs."""
    lines = [
        "# Demonstrations", "",
        f"Made by `make demonstrations` on {platform.machine()} with {os.cpu_count()} cores, with other "
        "work beside it:",
        "the seconds are processor time of a whole run, its evaluations included.", "",
        "A T-maze with a corridor of 200 places: a sign at its start says which way to turn at its end. "
        "The reward is 4",
        "for the right turn and comes 201 steps after the sign. Mean return of the greedy episodes of an "
        "evaluation.",
        f"Solved is {SOLVED:g}; without memory the best is {GUESS:g}. Demonstrations are episodes of "
        "someone who knows the",
        "way; their share is that of every batch.", "",
        "| agent | demonstrations | share | seeds | at the end | the worst seed | solved | steps until "
        "then | steps | cpu seconds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, shown in AGENTS.items():
        rows = [row for row in scores if row["agent"] == name]
        if rows:
            last = [row["last"] for row in rows]
            first = [row["solved_at"] for row in rows if row["solved_at"] is not None]
            seconds = [row["cpu_seconds"] for row in rows if row["cpu_seconds"] is not None]
            lines.append(
                f"| {name} | {shown.episodes} | {shown.share:g} | {len(rows)} | {np.mean(last):.3g} | "
                f"{min(last):.3g} | {len(first)} of {len(rows)} | "
                f"{f'{np.mean(first):,.0f}' if first else 'never'} | {rows[0]['env_steps']:,} | "
                f"{f'{np.mean(seconds):.0f}' if seconds else 'not measured'} |"
            )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Returns 0, 1 if a run failed, 130 if stopped."""
    options = _parse(arguments)
    changes: dict[str, Any] = {"run.track": "none", "run.threads": 1, "run.device": "cpu"}
    if options.steps:
        changes["run.steps"] = options.steps
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    cells = [cell(name, options.runs, changes) for name in options.agents]
    for name, made in zip(options.agents, cells, strict=True):
        if AGENTS[name].episodes:
            demonstrations(made.config, AGENTS[name].episodes, dataset(options.runs, AGENTS[name]))
    code = execute(plan(cells, seeds, options.runs), workers=options.workers)
    every = plan([cell(name, options.runs, changes) for name in AGENTS], range(100), options.runs)
    write([job for job in every if job.finished], options.out)
    return code


def write(jobs: Sequence[Job], out: Path) -> None:
    """The tables and the page of these runs."""
    if not jobs:
        return
    out.mkdir(parents=True, exist_ok=True)
    curves = [curve(job) for job in jobs]
    scores = [
        {**job.cell.labels, **summary(rows, SOLVED, known_seconds(job))}
        for job, rows in zip(jobs, curves, strict=True)
    ]
    write_csv([row for rows in curves for row in rows], out / "curves.csv")
    write_csv(scores, out / "scores.csv")
    (out / "README.md").write_text(page(scores))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = study_parser("demonstrations", __doc__, RESULTS)
    parser.add_argument(
        "--agents", nargs="+", choices=list(AGENTS), default=list(AGENTS), help="of cells.py (all)"
    )
    return parsed(parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
