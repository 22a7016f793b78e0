"""The cluster runtime: each role of `runtime/roles` in a process of its own, on Ray.

With its ports this is the only module that imports ray (call `ray_environment.prepare` before); it does no
learning itself. Ray places the processes and restarts lost ones, which then resume from what is on disk: the run
folder must be on a file system that all machines share.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.config import Config
from r2d2.envs.vector import EnvSpec
from r2d2.errors import how_to_install
from r2d2.runs.folder import CHECKPOINTS
from r2d2.runtime.cluster import ray_environment
from r2d2.runtime.cluster.roles.acting import ActorRole
from r2d2.runtime.cluster.roles.conductor import ClusterRun
from r2d2.runtime.cluster.roles.evaluating import EvaluatorRole
from r2d2.runtime.cluster.roles.inference import InferenceRole
from r2d2.runtime.cluster.roles.layout import Layout
from r2d2.runtime.cluster.roles.learning import LearnerRole
from r2d2.runtime.cluster.roles.messages import Failed, Lost
from r2d2.runtime.cluster.roles.shard import ShardRole, shard_root
from r2d2.runtime.signals import ASKING
from r2d2.tracking.tracker import Tracker

try:
    import ray
except ImportError as error:
    raise ValueError(f"run.runtime cluster needs ray ({error}): {how_to_install('cluster')}") from None
from r2d2.runtime.cluster.ray_ports import (
    ANSWER,
    LOST,
    InferencePort,
    ShardPort,
    ShardsPort,
    fetch,
    get,
)

PAUSE = 0.1  # seconds between polls of a process that is starting; ours


def make(config: Config, run_dir: Path, tracker: Tracker, spec: EnvSpec | None = None) -> ClusterRun:
    """A run whose processes start when it trains."""
    spec = environments.spec(config) if spec is None else spec
    resolved = build.resolved(config, spec)

    def launch(number: int | None, path: Path | None) -> RayFleet:
        return RayFleet(resolved, run_dir.resolve(), number, path)

    return ClusterRun(config, run_dir, tracker, launch, spec)


# -- starting Ray ------------------------------------------------------------------------------------------


def connect(config: Config) -> None:
    """Join the cluster at `cluster.address`, or start one on this machine; warns if others can reach it."""
    if ray.is_initialized():
        return
    with _handlers_kept():
        _init(config)
    if warning := ray_environment.exposure(config.cluster.address):
        print(warning, file=sys.stderr)


def _init(config: Config) -> None:
    if config.cluster.address:
        ray.init(address=config.cluster.address, log_to_driver=False)
        return
    ray.init(
        address="local",
        num_cpus=max(os.cpu_count() or 1, int(sum(cpus(config)) + 1)),
        object_store_memory=config.cluster.object_store,
        include_dashboard=False,
        log_to_driver=False,
    )


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Restores the SIGTERM handler that Ray replaces, so that a run can still be stopped cleanly."""
    before = {number: signal.getsignal(number) for number in ASKING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def cpus(config: Config) -> list[float]:
    """The CPUs that each process reserves."""
    c = config.cluster
    central = [c.inference_cpus] if c.inference == "central" else []
    return [c.actor_cpus] * c.actors + [c.shard_cpus] * c.shards + central + [c.learner_cpus, EVALUATOR_CPUS]


EVALUATOR_CPUS = 0.5  # it works only occasionally; ours


def check_resources(config: Config) -> None:
    """Raise an error if the cluster is too small for some process, which would wait forever."""
    there, needed = ray.cluster_resources().get("CPU", 0.0), sum(cpus(config))
    if needed > there:
        raise ValueError(
            f"cluster.actors={config.cluster.actors} and the other processes reserve {needed:g} CPUs, the cluster "
            f"has {there:g}: lower cluster.actors or cluster.actor_cpus, or add nodes"
        )


# -- processes ---------------------------------------------------------------------------------------------


class Host:
    """One role in a process of its own."""

    def __init__(
        self,
        kind: str,
        config: Config,
        index: int,
        run_dir: Path,
        number: int | None,
        path: Path | None,
        shards: list[str],
        inference: str,
    ) -> None:
        """`number` and `path` are those of the checkpoint from which the run was resumed, if any; `shards` are the
        names of the replay processes, `inference` that of the central one, if there is one."""
        warnings.filterwarnings(
            "ignore", "The given NumPy array is not writable"
        )  # Ray's arrays are not, and none is written
        again = ray.get_runtime_context().was_current_actor_reconstructed
        threads = config.cluster.learner_cpus if kind == "learner" else 1
        torch.set_num_threads(max(1, int(config.run.threads or threads)))
        self.role: Any
        match kind:
            case "actor":
                port = ShardPort(ray.get_actor(shards[Layout(config).shard_of(index)]))
                central = InferencePort(ray.get_actor(inference)) if inference else None
                self.role = ActorRole(
                    config, index, port, inference=central, fresh=not again and path is None
                )
            case "inference":
                self.role = InferenceRole(config, fetch)
            case "shard":
                root = shard_root(run_dir, Layout(config), index)
                self.role = ShardRole(config, index, root, None if again else number)
            case "learner":
                root = run_dir / CHECKPOINTS
                self.role = LearnerRole(
                    config, ShardsPort([*map(ray.get_actor, shards)]), root, None if again else path
                )
            case "evaluator":
                self.role = EvaluatorRole(config, run_dir)

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the role."""
        return getattr(self.role, method)(*arguments)

    def pid(self) -> int:
        """The process id of this process."""
        return os.getpid()


# -- the fleet ---------------------------------------------------------------------------------------------


class RayFleet:
    """All processes of a run, see `roles.conductor`. Ray restarts lost ones, on another node if necessary."""

    def __init__(
        self,
        config: Config,
        run_dir: Path,
        number: int | None,
        path: Path | None,
        kinds: Sequence[str] = ("shard", "inference", "learner", "actor"),
    ) -> None:
        """Starts the processes of all `kinds` for a run, or of some to measure them."""
        self._started = not ray.is_initialized()
        connect(config)
        if "actor" in kinds:
            check_resources(config)
        self._arguments = (config, run_dir, number, path)
        self._shards = [f"shard-{i}-{secrets.token_hex(4)}" for i in range(config.cluster.shards)]
        self._inference = f"inference-{secrets.token_hex(4)}" if config.cluster.inference == "central" else ""
        self._pending: dict[Any, str] = {}  # tickets, and the kind of process that was asked
        self.hosts: dict[tuple[str, int], Any] = {}
        c = config.cluster
        gpus = c.learner_gpus if c.learner_gpus >= 0 else min(1.0, ray.cluster_resources().get("GPU", 0.0))
        places = [
            *(("shard", i, c.shard_cpus, 0.0) for i in range(c.shards)),
            *(("inference", i, c.inference_cpus, c.inference_gpus) for i in range(self._inference != "")),
            ("learner", 0, c.learner_cpus, gpus),
            *(("actor", i, c.actor_cpus, 0.0) for i in range(c.actors)),
        ]
        for kind, index, reserved, gpu in places:
            if kind in kinds:
                self._start(kind, index, reserved, gpu)

    def _start(self, kind: str, index: int, cpus: float, gpus: float = 0.0) -> None:
        config, run_dir, number, path = self._arguments
        options: dict[str, Any] = {
            "num_cpus": cpus,
            "num_gpus": gpus,
            "max_restarts": -1,
            "max_task_retries": 0,
        }
        if kind == "shard":
            options["name"] = self._shards[index]
        if kind == "inference":
            options |= {"name": self._inference, "max_concurrency": config.cluster.actors + 1}
        self.hosts[kind, index] = (
            ray.remote(Host)
            .options(**options)
            .remote(kind, config, index, run_dir, number, path, self._shards, self._inference)
        )

    def call(self, kind: str, index: int, method: str, *arguments: Any) -> Any:
        if (kind, index) not in self.hosts:  # the evaluator, on its first call
            self._start(kind, index, EVALUATOR_CPUS)
        ticket = self.hosts[kind, index].call.remote(method, *arguments)
        self._pending[ticket] = kind
        return ticket

    def wait(self, timeout: float) -> list[tuple[Any, Any]]:
        pending = list(self._pending)
        if not pending or not ray.wait(pending, timeout=timeout, fetch_local=False)[0]:
            return []
        ready, _ = ray.wait(pending, num_returns=len(pending), timeout=0, fetch_local=False)
        return [(ticket, self._result(ticket, self._pending.pop(ticket))) for ticket in ready]

    def _result(self, ticket: Any, kind: str) -> Any:
        try:
            return ray.get(ticket)
        except LOST as error:
            return Failed(kind, error) if getattr(error, "actor_init_failed", False) else Lost(str(error))
        except Exception as error:  # what the method raised
            return Failed(kind, error)

    def pid(self, kind: str, index: int) -> int:
        """The current process id of a process, once it has started."""
        while True:
            try:
                return int(get(self.hosts[kind, index].pid.remote(), ANSWER))
            except Lost:
                time.sleep(PAUSE)

    def close(self) -> None:
        """End all processes, and the cluster if it was started here."""
        for host in self.hosts.values():
            ray.kill(host)
        if self._started:
            ray.shutdown()
