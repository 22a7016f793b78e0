"""What the tests of the cluster runtime share: a run whose processes can be killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from r2d2.config import Config
from r2d2.runtime import ray_environment
from r2d2.runtime.roles.conductor import ClusterRun
from r2d2.tracking import Tracker

ray_environment.prepare("")
import ray  # noqa: E402

from r2d2.runtime import cluster  # noqa: E402

TASK: dict[str, Any] = {
    "env__count": 4, "replay__ratio": 0.5, "replay__steps": 20_000, "cluster__packet": 5,
    "run__log_period": 200, "run__checkpoint_period": 400, "cluster__actor_cpus": 0.25,
    "cluster__shard_cpus": 0.25, "cluster__learner_cpus": 0.25,
}  # fmt: skip


def run_of(config: Config, folder: Path) -> ClusterRun:
    """A run that writes `metrics.jsonl` only."""
    return cluster.make(config, folder, Tracker(folder))


def pid(run: ClusterRun, kind: str, index: int = 0) -> int:
    """The process of a role, as it is now."""
    while True:
        try:
            return int(ray.get(run.fleet.hosts[kind, index].pid.remote(), timeout=30))  # type: ignore[attr-defined]
        except ray.exceptions.RayError:
            time.sleep(0.1)


class Events(threading.Thread):
    """Does things to a run that is training in the main thread, one after the other, each once its condition
    holds; what goes wrong stops the run and is raised by `check`."""

    def __init__(self, run: ClusterRun, *events: tuple[Callable[[], bool], Callable[[], Any]]) -> None:
        super().__init__(daemon=True)
        self.training, self.events, self.error = run, events, None
        self.done = 0
        self.start()

    def run(self) -> None:
        try:
            for condition, action in self.events:
                while not condition():
                    time.sleep(0.02)
                action()
                self.done += 1
        except BaseException as error:
            self.error = error
            self.training.stop = True

    def check(self) -> None:
        """Raise what went wrong; every event must have come."""
        if self.error is not None:
            raise self.error
        assert self.done == len(self.events), f"only {self.done} of {len(self.events)} events came"


def kill(run: ClusterRun, kind: str, index: int = 0) -> None:
    """SIGKILL, as the kernel does when memory runs out."""
    os.kill(pid(run, kind, index), signal.SIGKILL)


def listening() -> set[str]:
    """The addresses at which Ray's processes listen."""
    mine = psutil.Process()
    family = [mine, *mine.children(recursive=True)]
    return {
        connection.laddr.ip
        for process in family
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
