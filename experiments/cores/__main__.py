"""Stored state with linear cores: `python -m experiments.cores [--tasks NAME ...] [--cores NAME ...] [--seeds N]`.

Trains every core with every start of an item's recurrent state, with burn-in and without, and writes figure.png,
README.md and CSV files into --out. The command goes on where it stopped; Ctrl-C saves. Rows of runs on other
machines stay in the tables: remove --out for results of other settings.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.cores import figure
from experiments.cores.cells import CORES, TASKS, cells
from experiments.cores.page import page
from experiments.replay.evidence import read_rows, with_earlier
from experiments.stored_state.rows import LABELS, Row, curves, scores
from experiments.study import Job, core_minutes, execute, plan, write_csv
from experiments.study_options import parsed, study_parser

RESULTS = Path(__file__).resolve().parents[1] / "results" / "cores"
SEEDS = 5  # unless --seeds says otherwise
FIRST_SEED = 10  # the ones before were used to tune


def main(arguments: list[str] | None = None) -> int:
    """Returns 0, 1 if a run failed, 130 if stopped."""
    options = _parse(arguments)
    if options.redraw:
        report(options.out)
        return 0
    changes: dict[str, Any] = {"run.track": "none"}
    if options.steps:
        changes["run.steps"] = options.steps
    seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
    jobs = plan(cells(options.tasks, options.cores, changes), seeds, options.runs)
    code = execute(jobs, workers=options.workers)
    if code == 0:
        write(jobs, options)
        print(f"see {options.out / 'README.md'}")
    return code


def write(jobs: Sequence[Job], options: argparse.Namespace) -> None:
    """The tables, then figure and page from them."""
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    keys = [name for name in LABELS if name in jobs[0].cell.labels] + ["seed"]
    curve = with_earlier(curves(jobs), out / "curves.csv", keys)
    curve.sort(key=lambda row: (list(TASKS).index(row["task"]), CORES.index(row["core"])))
    write_csv(curve, out / "curves.csv")
    write_csv(scores(curve), out / "scores.csv")
    run = {"command": _command(options, curve), "minutes": core_minutes(jobs)}
    (out / "run.json").write_text(json.dumps(run, indent=1) + "\n")
    report(out)


def report(folder: Path) -> None:
    """Figure and page from the tables alone."""
    score = read_rows(folder / "scores.csv")
    figure.draw(score, folder / "figure.png")
    (folder / "README.md").write_text(page(score, json.loads((folder / "run.json").read_text())))


def _command(options: argparse.Namespace, curve: Sequence[Row]) -> str:
    """What makes all of these runs."""
    parts = [f"--steps {options.steps}"] if options.steps else []
    for name, every in (("task", TASKS), ("core", CORES)):
        made = dict.fromkeys(str(row[name]) for row in curve)
        parts += [f"--{name}s {' '.join(made)}"] if set(made) != set(every) else []
    seeds = len({row["seed"] for row in curve})
    parts += [f"--seeds {seeds}"] if seeds != SEEDS else []
    return "make ablation-cores" + (f' ARGS="{" ".join(parts)}"' if parts else "")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = study_parser("cores", __doc__, RESULTS, first_seed=None)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), help="these alone")
    parser.add_argument("--cores", nargs="+", choices=list(CORES), default=list(CORES), help="these alone")
    parser.add_argument("--redraw", action="store_true", help="figure and page from the tables in --out")
    return parsed(parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
