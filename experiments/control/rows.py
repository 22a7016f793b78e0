"""What comes out of the runs: curves and scores."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

from experiments.control.cells import AGENTS
from experiments.study import Job
from r2d2.tracking.metrics import read_metrics

CPU = "cpu_seconds"  # file in a finished run's folder


def finish(run_dir: Path) -> None:
    """Keep the processor time of the process that made the run."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    (run_dir / CPU).write_text(f"{used.ru_utime + used.ru_stime:.1f}\n")


def curve(job: Job) -> list[dict[str, Any]]:
    """The greedy evaluations of a run."""
    lines = read_metrics(job.run_dir / "metrics.jsonl")
    return [
        {
            **job.cell.labels, "seed": job.seed, "env_steps": line["env_steps"], "updates": line["updates"],
            "mean_return": round(line["evaluate/mean_return"], 3), "wall_seconds": round(line["wall_seconds"], 1),
        }
        for line in lines
        if "evaluate/mean_return" in line
    ]  # fmt: skip


def score(job: Job) -> dict[str, Any]:
    """The last and the best evaluation of a run, and the steps until it was solved."""
    rows = curve(job)
    solved = AGENTS[job.cell.name].solved
    first = next((row["env_steps"] for row in rows if row["mean_return"] >= solved), None)
    cpu = job.run_dir / CPU  # of a run that was made by hand there is none
    return {
        **job.cell.labels, "seed": job.seed, "last": rows[-1]["mean_return"],
        "best": max(row["mean_return"] for row in rows), "solved_at": first, "env_steps": rows[-1]["env_steps"],
        "updates": rows[-1]["updates"], "cpu_seconds": float(cpu.read_text()) if cpu.exists() else None,
    }  # fmt: skip
