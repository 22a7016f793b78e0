"""The study of R2D2's successors, `make next-r2d2`: `python -m experiments.next_r2d2 [--variants ...] [--seeds N]`.

Trains `r2d2-small` and changes to it on five games of MinAtar (extra `minatar`) and two memory tasks, and writes
curves.csv, scores.csv, figure.png and README.md into --out. The command goes on where it stopped; Ctrl-C saves.
Rows in --out whose runs are not in --runs stay: they were made elsewhere.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path
from typing import Any

from experiments.next_r2d2.cells import BASE, TASKS, VARIANTS, applies, cell, variants
from experiments.next_r2d2.page import draw, page
from experiments.next_r2d2.rows import Row, curves, scores
from experiments.replay.evidence import read_rows
from experiments.study import Job, execute, plan, write_csv
from experiments.study_options import parsed, study_parser
from r2d2.config.presets import preset

RESULTS = Path(__file__).resolve().parents[1] / "results" / "next_r2d2"


def main(arguments: list[str] | None = None) -> int:
    """Returns 0, 1 if a run failed, 130 if stopped."""
    options = _parse(arguments)
    changes: dict[str, Any] = {"run.track": "none", "run.threads": 1, "run.device": "cpu"}
    if options.steps:
        changes["run.steps"] = options.steps
    names = variants(options.variants, minus_one=options.minus_one)
    cells = [cell(task, name, changes) for task in options.tasks for name in names if applies(task, name)]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    jobs = plan(cells, seeds, options.runs)
    code = execute(jobs, workers=options.workers)
    write(jobs, options.out)
    return code


def write(jobs: list[Job], out: Path) -> None:
    """The tables, the page and the figure of the finished runs and of the rows that are in `out`."""

    def run(row: Row) -> tuple[str, str, int]:
        return row["task"], row["variant"], row["seed"]

    new = curves(jobs)
    file, made = out / "curves.csv", {run(row) for row in new}
    rows = [row for row in read_rows(file) if run(row) not in made] if file.exists() else []
    rows = sorted(rows + new, key=lambda row: (row["variant"] != "base", *run(row), row["env_steps"]))
    if not rows:
        return
    out.mkdir(parents=True, exist_ok=True)
    found = scores(rows)
    write_csv(rows, file)
    write_csv(found, out / "scores.csv")
    machine = f"{platform.machine()} with {os.cpu_count()} cores"
    (out / "README.md").write_text(page(found, command="make next-r2d2", machine=machine))
    draw(rows, out / "figure.png")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = study_parser("next_r2d2", __doc__, RESULTS)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), help="which (all)")
    parser.add_argument(
        "--variants", nargs="*", default=list(VARIANTS), help="changes to the preset, as in `peng+adamw`"
    )
    parser.add_argument(
        "--minus-one", action="store_true", help="also each variant without each of its changes"
    )
    options = parsed(parser, arguments)
    for name in options.variants:
        try:
            preset(f"{BASE}+{name}")
        except KeyError as error:
            parser.error(f"--variants: {name} has the unknown change {error}, see r2d2/config/changes.py")
    return options


if __name__ == "__main__":
    sys.exit(main())
