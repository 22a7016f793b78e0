"""The memory benchmark: `python -m experiments.memory [--tier minute|hour|night] [--seeds N] [--workers N]`.

Trains the preset `memory` and its variants, and the peer, on the tier's tasks, some runs at a time, and writes
figure.png, README.md and CSV files into --out. The command goes on where it stopped; Ctrl-C saves. Rows of runs on
other machines stay in the tables: remove --out for results of another preset.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from experiments.memory import cells, figures, rows
from experiments.memory.page import page
from experiments.memory.rows import Row
from experiments.memory.tasks import TASKS, TIERS
from experiments.replay.evidence import read_rows, with_earlier
from experiments.stored_state.rows import chosen
from experiments.study import Job, execute, write_csv
from experiments.study_options import parsed, study_parser

RESULTS = Path(__file__).resolve().parents[1] / "results" / "memory"
FIRST_SEED = 10  # the ones before were used to tune
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def main(arguments: list[str] | None = None) -> int:
    """Returns 0, 1 if a run failed, 130 if stopped."""
    options = _parse(arguments)
    if options.redraw:
        report(options.out)
        return 0
    seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
    changes: dict[str, Any] = {"run.track": options.track}
    if options.steps:
        changes["run.steps"] = options.steps
    jobs = cells.jobs(options.tier, seeds, options.runs, changes, tasks=options.tasks, agents=options.agents)
    code = execute(jobs, workers=options.workers, after=rows.finish)
    if code == 0:
        write(jobs, {}, options)
        if options.peer:
            peers = play_peers(jobs, seeds, options)
            write(jobs, peers, options)
            code = int(not all(file.exists() for file in peers.values()))
        print(f"see {options.out / 'README.md'}")
    return code


def play_peers(
    jobs: Sequence[Job], seeds: Sequence[int], options: argparse.Namespace
) -> dict[tuple[str, int], Path]:
    """Run the peer where it has no file yet, `workers` at a time; returns its files by task and seed."""
    score = rows.scores(rows.curves(jobs, {}))
    files = {}
    waiting = []
    for task in dict.fromkeys(str(job.cell.labels["task"]) for job in jobs):
        ours = chosen(score, task=task, agent="memory") or chosen(score, task=task)
        seconds = float(np.nanmean([row["cpu_seconds"] for row in ours]))
        for seed in seeds:
            file = options.runs / f"{task}-{cells.PEER}" / f"seed{seed}.jsonl"
            files[task, seed] = file
            if not file.exists():
                command = [options.peer, "-m", "experiments.memory.peer", task, str(seed), str(file)]
                steps = options.steps or TASKS[task].steps
                waiting.append([*command, "--steps", str(steps), "--seconds", f"{seconds:.0f}"])
    with ThreadPoolExecutor(options.workers) as pool:
        for code, command in zip(pool.map(_run, waiting), waiting, strict=True):
            print(f"{'FAILED' if code else 'done'}: {' '.join(command[2:6])}")
    return files


def _run(command: list[str]) -> int:
    return subprocess.run(command, env=os.environ | ONE_THREAD, check=False).returncode


def write(jobs: Sequence[Job], peers: dict[tuple[str, int], Path], options: argparse.Namespace) -> None:
    """The tables, then figure and page from them."""
    options.out.mkdir(parents=True, exist_ok=True)
    made = {"curves": rows.curves(jobs, peers), "reach": rows.reach(jobs)}
    found = {name: _merged(new, options.out / f"{name}.csv") for name, new in made.items()}
    score = rows.scores(found["curves"])
    for name, table in (found | {"scores": score}).items():
        write_csv(table, options.out / f"{name}.csv")
    minutes = float(np.nansum([row["cpu_seconds"] for row in score])) / 60
    machine = f"{platform.machine()} with {os.cpu_count()} cores"
    run = {"command": _command(options, score), "machine": machine, "minutes": minutes}
    (options.out / "run.json").write_text(json.dumps(run, indent=1) + "\n")
    report(options.out)


def _merged(new: list[Row], file: Path) -> list[Row]:
    """With the rows of runs on other machines, in the order of tasks, agents and seeds."""
    tasks, agents = [*TASKS], [*cells.AGENTS, cells.PEER]
    merged = with_earlier(new, file, ("task", "agent", "seed"))
    return sorted(merged, key=lambda row: (tasks.index(row["task"]), agents.index(row["agent"]), row["seed"]))


def report(folder: Path) -> None:
    """Figure and page from the tables alone."""
    curve, score, reached = (read_rows(folder / f"{name}.csv") for name in ("curves", "scores", "reach"))
    run = json.loads((folder / "run.json").read_text())
    figures.draw(curve, folder / "figure.png")
    (folder / "README.md").write_text(page(score, reached, run))


def _command(options: argparse.Namespace, score: Sequence[Row]) -> str:
    """What makes all of these runs."""
    parts = [f"--tier {options.tier}"] if options.tier != "hour" else []
    for name in ("tasks", "agents"):
        if getattr(options, name):
            made = dict.fromkeys(str(row[name[:-1]]) for row in score)
            parts.append(f"--{name} {' '.join(one for one in made if not one.startswith(cells.PEER))}")
    parts += [f"--seeds {options.seeds}"] if options.seeds != 5 else []
    parts += [f"--steps {options.steps}"] if options.steps else []
    return "make memory-benchmark" + (f' ARGS="{" ".join(parts)}"' if parts else "")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = study_parser("memory", __doc__, RESULTS, first_seed=None)
    parser.add_argument("--tier", choices=list(TIERS), default="hour", help="tasks and agents (default hour)")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=[], help="these instead")
    parser.add_argument("--agents", nargs="+", choices=list(cells.AGENTS), default=[], help="these instead")
    parser.add_argument("--peer", help="a Python with the extra `peer`; without one the peer is left out")
    parser.add_argument("--track", default="none", help="Weights & Biases (default none)")
    parser.add_argument("--redraw", action="store_true", help="figure and page from the tables in --out")
    return parsed(parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
