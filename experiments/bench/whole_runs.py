"""Whole runs, cut short: the speed of acting and learning together."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, SupportsFloat

import torch

from r2d2.agent.cuda_graph import WARM_UP
from r2d2.build import agents as build
from r2d2.config import Config
from r2d2.runtime import threads
from r2d2.runtime.local import LocalRun
from r2d2.tracking.tracker import Tracker, read_metrics


class Stopwatch(Tracker):
    """A tracker that stops its run at the first log line `seconds` after learning has warmed up."""

    def __init__(self, run_dir: Path, seconds: float) -> None:
        super().__init__(run_dir)
        self.run: Any = None  # anything with a `stop`
        self._limit = seconds
        self._learning_since = math.inf

    def log(self, metrics: Mapping[str, SupportsFloat], *, env_steps: int, updates: int) -> None:
        super().log(metrics, env_steps=env_steps, updates=updates)
        now = time.monotonic()
        if updates > WARM_UP:
            self._learning_since = min(self._learning_since, now)
        if now - self._learning_since >= self._limit:
            self.run.schedule.stop = True


def rates(config: Config, seconds: float = math.inf) -> dict[str, float]:
    """A run of `config`, ended after `seconds` of learning or `run.steps`: rates between the first log line after
    warm-up and the last one, and means of the logged time shares."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        began = time.monotonic()
        tracker = Stopwatch(folder, seconds)
        _train(config, folder, tracker)
        tracker.close()
        took = time.monotonic() - began
        lines = [line for line in read_metrics(folder) if "replay/ratio" in line]
    return {"seconds": took, **_between(config, lines)}


def _train(config: Config, folder: Path, tracker: Stopwatch) -> None:
    torch.set_num_threads(build.threads(config))
    if config.run.runtime == "cluster":
        from r2d2.runtime.cluster import ray_fleet as cluster

        tracker.run = cluster.make(config, folder, tracker)
        tracker.run.train()
        return
    tracker.run = LocalRun(config, folder, tracker)
    if config.run.runtime == "threads":
        threads.train(tracker.run)
    else:
        tracker.run.train()


def _between(config: Config, lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    lines = [line for line in lines if line["updates"] > WARM_UP]
    if len(lines) < 2:
        raise ValueError(
            f"run.steps must give two log lines with more than {WARM_UP} updates, got {config.run.steps} with a "
            f"line every {config.run.log_period} steps: use more steps"
        )
    first, last = lines[0], lines[-1]
    passed = last["wall_seconds"] - first["wall_seconds"]
    shares = {
        name.removeprefix("cluster/"): statistics.fmean(line[name] for line in lines if name in line)
        for name in last
        if name.endswith("_share") or name == "cluster/updates_behind"
    }
    return {
        "steps_per_second": (last["env_steps"] - first["env_steps"]) / passed,
        "updates_per_second": (last["updates"] - first["updates"]) / passed,
        "replay_ratio": last["replay/ratio"],
    } | shares
