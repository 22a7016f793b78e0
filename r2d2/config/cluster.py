"""ClusterConfig: the part of a config that only the cluster runtime reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from r2d2.config.bounds import PROCESSORS, Bounds


@dataclass(frozen=True)
class ClusterConfig:
    """The processes of `run.runtime` cluster; docs/scaling.md says what to set."""

    address: str = ""
    """host:port of a `ray start` cluster; empty starts one on this machine, bound to loopback."""
    actors: Annotated[int, Bounds(1, 10**5)] = 2
    """Actor processes; they share the env.num_envs environments."""
    shards: Annotated[int, Bounds(1, 10**5)] = 1
    """Replay processes; they share the actors and replay.steps."""
    packet: Annotated[int, Bounds(1, 10**6)] = 20
    """Steps of each environment sent together, actor.actor_update_period at most: new weights come with the receipt
    (ours; Ape-X sends 50 transitions)."""
    slack: Annotated[float, Bounds(0, 10**6)] = 2.0
    """Batches that learning may be behind before the actors wait (ours)."""
    inference: Literal["actor", "central"] = "actor"
    """Each actor has the network, or all send their observations to one process that has it (on a GPU)."""
    actor_cpus: Annotated[float, PROCESSORS] = 1.0
    """CPUs that an actor reserves."""
    shard_cpus: Annotated[float, PROCESSORS] = 1.0
    """CPUs that a replay process reserves."""
    learner_cpus: Annotated[float, PROCESSORS] = 1.0
    """CPUs that the learner reserves."""
    learner_gpus: Annotated[float, Bounds(-1, 10**5)] = -1.0
    """GPUs that the learner reserves; -1 is one if the cluster has one."""
    inference_cpus: Annotated[float, PROCESSORS] = 1.0
    """CPUs that the central inference reserves."""
    inference_gpus: Annotated[float, PROCESSORS] = 0.0
    """GPUs that the central inference reserves."""
    object_store: Annotated[int, Bounds(80_000_000, 10**15)] = 200_000_000
    """Bytes of shared memory of a cluster started here (ours: some batches and weights)."""
