"""The fault matrix: what was killed, what was lost, and how long recovery took.

    python -m experiments.cluster.faults --out experiments/results/cluster

Every case is a run of its own on real processes that die by SIGKILL, after its first checkpoint; the machine that
is lost is a node of Ray's in-machine cluster.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from experiments.bench.machine import machine
from r2d2.config import Config, from_dict, to_dict
from r2d2.config.presets import preset
from r2d2.runtime.cluster import ray_environment
from r2d2.runtime.cluster.roles.conductor import ClusterRun
from r2d2.tracking.tracker import Tracker, read_metrics

CASES = ("actor", "shard", "learner", "all", "node")
CHANGES: dict[str, Any] = {
    "run.runtime": "cluster", "run.track": "none", "run.device": "cpu", "run.threads": 1, "run.evaluate_period": 0,
    "run.log_period": 500, "run.checkpoint_period": 2000, "run.steps": 12_000, "env.num_envs": 8,
    "replay.replay_ratio": 1.0,
    "cluster.actors": 2, "cluster.packet": 10, "cluster.actor_cpus": 0.25, "cluster.shard_cpus": 0.25,
    "cluster.learner_cpus": 0.25,
}  # fmt: skip


def changed(config: Config, changes: dict[str, Any]) -> Config:
    """A config with some fields changed, named as on the command line."""
    values = to_dict(config)
    for name, value in changes.items():
        section, _, field = name.partition(".")
        values[section][field] = value
    made: Config = from_dict(values)
    return made


def kill(run: ClusterRun, kind: str, index: int = 0) -> None:
    """SIGKILL, as the kernel does when memory runs out."""
    os.kill(run.fleet.pid(kind, index), signal.SIGKILL)


class Events(threading.Thread):
    """Triggers events during a run in the main thread, one after the other, each once its condition holds; an
    exception stops the run and is raised by `check`."""

    def __init__(self, run: ClusterRun, *events: tuple[Callable[[], bool], Callable[[], Any]]) -> None:
        super().__init__(daemon=True)
        self.training, self.events = run, events
        self.error: BaseException | None = None
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
            self.training.schedule.stop = True

    def check(self) -> None:
        """Raise the exception, if any; every event must have happened."""
        if self.error is not None:
            raise self.error
        assert self.done == len(self.events), f"only {self.done} of {len(self.events)} events came"


class Nodes:
    """Ray's in-machine cluster: a head without work and two nodes, either of which has room for everything if the
    other is lost."""

    def __init__(self) -> None:
        import ray
        from ray.cluster_utils import Cluster

        store = 100_000_000
        head = {"num_cpus": 0, "object_store_memory": store}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.cluster.add_node(num_cpus=2, object_store_memory=store) for _ in range(2)]
        ray.init(address=self.cluster.address, log_to_driver=False)

    def lose(self, run: ClusterRun) -> None:
        """Kill the node with most of the run's processes, all at once."""
        pids = {run.fleet.pid(kind, 0) for kind in ("shard", "learner")} | {
            run.fleet.pid("actor", i) for i in range(run.layout.actors)
        }

        def mine(node: Any) -> int:
            raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
            return len(pids & {process.pid for process in raylet.children(recursive=True)})

        node = max(self.nodes, key=mine)
        assert mine(node), "no process of the run is on a node that can be lost"
        self.cluster.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        import ray

        ray.shutdown()
        self.cluster.shutdown()


def one(case: str, folder: Path) -> dict[str, Any]:
    """Run one case to its end; returns the figures in its log."""
    changes = dict(CHANGES)
    if case == "node":  # Ray needs a while to notice
        changes |= {"run.steps": 50_000}
    ray_environment.prepare("")
    from r2d2.runtime.cluster import ray_fleet as cluster

    nodes = Nodes() if case == "node" else None
    run = cluster.make(changed(preset("memory+lstm-stored"), changes), folder, Tracker(folder))
    victims = {"all": [("actor", 0), ("shard", 0), ("learner", 0), ("actor", 1)]}.get(case, [(case, 0)])

    def strike() -> None:
        if nodes is not None:
            nodes.lose(run)
        else:
            for kind, index in victims:
                kill(run, kind, index)

    events = Events(run, (lambda: run.schedule.saves >= 1 and run.env_steps > 3000, strike))
    started = time.monotonic()
    try:
        run.train()
    finally:
        if nodes is not None:
            nodes.close()
    events.check()
    found = read_metrics(folder)
    last = next(line for line in reversed(found) if "cluster/lost_steps" in line)
    return {
        "killed": case,
        "processes_lost": sum(last[f"cluster/lost_{kind}s"] for kind in ("actor", "shard", "learner")),
        "steps_lost": last["cluster/lost_steps"],
        "updates_lost": last["cluster/lost_updates"],
        "seconds_until_back": {f"{kind} {i}": round(s, 1) for (kind, i), s in run.tally.recovered.items()},
        "replay_ratio": last["replay/ratio"],
        "env_steps": run.env_steps,
        "updates": run.updates,
        "wall_seconds": round(time.monotonic() - started, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    arguments = parser.parse_args()
    results = []
    for case in arguments.cases:
        with TemporaryDirectory() as folder:
            results.append(one(case, Path(folder)))
        print(json.dumps(results[-1]), flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    written = {"machine": machine(), "cases": results}
    (arguments.out / "faults.json").write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    main()
