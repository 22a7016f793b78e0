"""The control study, `make control`: `python -m experiments.control [--agents NAME ...] [--seeds N] [--workers N]`.

Trains the agents of `cells.py` and writes curves.csv, scores.csv and README.md into --out, of all runs that are
finished. The command goes on where it stopped; Ctrl-C saves.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from experiments.control.cells import AGENTS, cell
from experiments.control.peer import PEERS
from experiments.control.rows import curve, peer_curve, peer_score, score
from experiments.replay.evidence import with_earlier
from experiments.study import execute, plan, write_csv
from experiments.study_options import parsed, study_parser

ORDER = (*AGENTS, *PEERS)  # of the rows
RESULTS = Path(__file__).resolve().parents[1] / "results" / "control"


def page(scores: Sequence[dict[str, Any]], command: str) -> str:
    """The table of all finished runs."""
    lines = [
        "# Continuous control", "",
        f"Made by `{command}` on {platform.machine()} with {os.cpu_count()} cores, with other work beside it: the",
        "seconds are processor time of a whole run, its evaluations included.", "",
        "Mean return of 20 greedy episodes (Cue: 64, HalfCheetah: 5) at the end of a run. Solved is -200 on the",
        "pendulums, 0.8 on Cue, where no memory earns 0, and 1,000 on HalfCheetah.", "",
        "| task | agent | seeds | at the end | the worst seed | solved | steps until then | steps | cpu seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name in ORDER:
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
    code = execute(jobs, workers=options.workers)
    if code == 0 and options.peer:
        code = play_peers(options, seeds)
    write(options.runs, options.out, changes)
    return code


def play_peers(options: argparse.Namespace, seeds: Sequence[int]) -> int:
    """Run the peers that have no file yet, `workers` at a time; returns 0, or 1 if one failed."""
    waiting = []
    for seed in seeds:
        for agent in options.peers:
            file = peer_file(options.runs, agent, seed)
            if not file.exists():
                command = [options.peer, "-m", "experiments.control.peer", agent, str(seed), str(file)]
                waiting.append(command + (["--steps", str(options.steps)] if options.steps else []))
    with ThreadPoolExecutor(options.workers) as pool:
        codes = [*pool.map(lambda command: subprocess.run(command, check=False).returncode, waiting)]
    for code, command in zip(codes, waiting, strict=True):
        print(f"{'FAILED' if code else 'done'}: {' '.join(command[2:5])}")
    return int(any(codes))


def peer_file(runs: Path, agent: str, seed: int) -> Path:
    """Where a peer's evaluations are."""
    return runs / agent / f"seed{seed}.jsonl"


def write(runs: Path, out: Path, changes: dict[str, Any]) -> None:
    """The tables and the page of all finished runs, and of those that are in `out` from other machines."""
    made = [job for job in plan([cell(n, changes) for n in AGENTS], range(100), runs) if job.finished]
    files = [(agent, seed, peer_file(runs, agent, seed)) for agent in PEERS for seed in range(100)]
    peers = [found for found in files if found[2].exists()]
    if made or peers:
        out.mkdir(parents=True, exist_ok=True)
        scores = [*(score(job) for job in made), *(peer_score(*found) for found in peers)]
        curves = [row for job in made for row in curve(job)]
        curves += [row for found in peers for row in peer_curve(*found)]
        for name, rows in (("scores.csv", scores), ("curves.csv", curves)):
            rows[:] = [
                {column: None if value == "" else value for column, value in row.items()}
                for row in with_earlier(rows, out / name, ("agent", "seed"))
            ]
            rows.sort(key=lambda row: (ORDER.index(row["agent"]), row["seed"], row["env_steps"]))
            write_csv(rows, out / name)
        (out / "README.md").write_text(page(scores, "make control"))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = study_parser("control", __doc__, RESULTS)
    parser.add_argument(
        "--agents", nargs="*", choices=list(AGENTS), default=list(AGENTS), help="of cells.py (all)"
    )
    parser.add_argument(
        "--peer", metavar="PYTHON", help="also run the peers, with this Python (extra `peer`)"
    )
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS), help="which (all)")
    return parsed(parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
