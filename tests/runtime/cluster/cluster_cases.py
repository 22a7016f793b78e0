"""What the tests of the cluster runtime share. Import `ray` from here: its environment comes first."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import psutil

from r2d2.config import Config
from r2d2.runtime.cluster import ray_environment
from r2d2.runtime.cluster.roles.conductor import ClusterRun
from r2d2.tracking.tracker import Tracker

ray_environment.prepare("")
import ray  # noqa: E402

from r2d2.runtime.cluster import ray_fleet as cluster  # noqa: E402

__all__ = ["TASK", "listening", "ray", "run_of"]

TASK: dict[str, Any] = {
    "env__num_envs": 4, "replay__replay_ratio": 0.5, "replay__steps": 20_000, "cluster__packet": 5,
    "run__log_period": 200, "run__checkpoint_period": 400, "cluster__actor_cpus": 0.25,
    "cluster__shard_cpus": 0.25, "cluster__learner_cpus": 0.25,
}  # fmt: skip


def run_of(config: Config, folder: Path) -> ClusterRun:
    """A run that writes `metrics.jsonl` only."""
    return cluster.make(config, folder, Tracker(folder))


def listening() -> set[str]:
    """The addresses at which Ray's processes listen."""
    mine = psutil.Process()
    found = set()
    for process in (mine, *mine.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # one of those that the run before left to end
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    found.add(connection.laddr.ip)
    return found
