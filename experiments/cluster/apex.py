"""Ape-X: wall-clock until CartPole is solved with 1, 2 and 4 actor processes.

    python -m experiments.cluster.apex --runs runs/apex --out experiments/results/cluster [--seeds 0 1 2]

The learner and the replay ratio are the same for all; only the number of processes that share the environments
changes. The clock starts with the first log line, so that starting processes does not count.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from experiments import study
from experiments.bench.machine import machine
from experiments.cluster.faults import changed
from r2d2.config import Config
from r2d2.config.presets import PRESETS
from r2d2.runtime.cluster import ray_environment
from r2d2.tracking.tracker import read_metrics

GOAL = 195.0  # mean return of an evaluation: the threshold at which CartPole-v0 counts as solved
ACTORS = (1, 2, 4)
CHANGES: dict[str, Any] = {
    "run.runtime": "cluster", "run.track": "none", "run.device": "cpu", "run.threads": 1, "run.steps": 120_000,
    "run.log_period": 500, "run.checkpoint_period": 10**9, "run.evaluate_period": 2000,
    "run.evaluate_episodes": 20, "run.video_period": 0, "run.stop_return": GOAL,
    "env.id": "CartPole-v1", "env.num_envs": 8, "network.stack": 1, "network.features": 128, "network.hidden": 128,
    "replay.steps": 50_000, "replay.min_steps": 1000, "replay.replay_ratio": 8.0, "learner.batch": 128,
    "learner.optimizer": "adam", "learner.learning_rate": 1e-3, "learner.adam_epsilon": 1.5e-4,
    "learner.target_period": 100, "learner.reward_clip": 0.0,
    "actor.actor_update_period": 20, "cluster.packet": 10, "cluster.actor_cpus": 0.25, "cluster.shard_cpus": 0.25,
    "cluster.learner_cpus": 0.25,
}  # fmt: skip


def config(actors: int) -> Config:
    """Ape-X on CartPole with `actors` actor processes."""
    return changed(PRESETS["apex"], CHANGES | {"cluster.actors": actors})


def result(folder: Path) -> dict[str, Any]:
    """Seconds and steps until an evaluation reached the goal; None if none did."""
    lines = read_metrics(folder)
    solved = next((line for line in lines if (line.get("evaluate/mean_return") or 0.0) >= GOAL), None)
    shares = [line["learner/updating_share"] for line in lines if "learner/updating_share" in line]
    return {
        "seconds": None if solved is None else solved["wall_seconds"] - lines[0]["wall_seconds"],
        "env_steps": None if solved is None else solved["env_steps"],
        "steps_per_second": (lines[-1]["env_steps"] - lines[0]["env_steps"])
        / (lines[-1]["wall_seconds"] - lines[0]["wall_seconds"]),
        "learner_busy": float(np.mean(shares)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    ray_environment.prepare("")
    cells = [study.Cell(f"actors{n}", "apex", config(n), {"actors": n}) for n in ACTORS]
    jobs = study.plan(cells, options.seeds, options.runs)
    code = study.execute(jobs, workers=1)
    rows = [dict(job.cell.labels) | {"seed": job.seed} | result(job.run_dir) for job in jobs if job.finished]
    options.out.mkdir(parents=True, exist_ok=True)
    written = {"machine": machine(), "goal": GOAL, "runs": rows}
    (options.out / "apex.json").write_text(json.dumps(written, indent=1) + "\n")
    print(json.dumps(rows, indent=1))
    raise SystemExit(code)


if __name__ == "__main__":
    main()
