"""What comes out of the runs: curves and scores."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from experiments.control.cells import AGENTS
from experiments.control.peer import PEERS
from experiments.processor_time import processor_seconds
from experiments.study import Job
from r2d2.tracking.metrics import read_metrics


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
    return summary(curve(job), AGENTS[job.cell.name].solved, known_seconds(job))


def known_seconds(job: Job) -> float | None:
    """The processor time of a run, as a cell of a table: empty where it is not known."""
    seconds = processor_seconds(job.run_dir)
    return None if math.isnan(seconds) else round(seconds, 1)


def peer_curve(agent: str, seed: int, file: Path) -> list[dict[str, Any]]:
    """The greedy evaluations of a peer, with the columns of ours; it does not count its updates."""
    labels = {"task": PEERS[agent].task, "agent": agent, "seed": seed}
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [
        labels | {
            "env_steps": line["env_steps"], "updates": None, "mean_return": round(line["score"], 3),
            "wall_seconds": round(line["wall_seconds"], 1),
        }
        for line in lines
    ]  # fmt: skip


def peer_score(agent: str, seed: int, file: Path) -> dict[str, Any]:
    """`score` of a peer."""
    seconds = json.loads(file.read_text().splitlines()[-1])["cpu_seconds"]
    return summary(peer_curve(agent, seed, file), PEERS[agent].solved, round(seconds, 1))


def summary(rows: list[dict[str, Any]], solved: float, seconds: float | None) -> dict[str, Any]:
    """The last and the best of a run's evaluations, and the steps until one of them reached `solved`."""
    last = rows[-1]
    first = next((row["env_steps"] for row in rows if row["mean_return"] >= solved), None)
    return {
        **{name: last[name] for name in ("task", "agent", "seed")}, "last": last["mean_return"],
        "best": max(row["mean_return"] for row in rows), "solved_at": first, "env_steps": last["env_steps"],
        "updates": last["updates"], "cpu_seconds": seconds,
    }  # fmt: skip
