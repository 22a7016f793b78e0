"""ClusterConfig: the part of a config that only the cluster runtime reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ClusterConfig:
    """The processes of `run.runtime` cluster; docs/scaling.md says what to set."""

    address: str = ""
    """host:port of a `ray start` cluster; empty starts one on this machine, bound to loopback."""
    actors: int = 2
    """Actor processes; they share the env.num_envs environments."""
    shards: int = 1
    """Replay processes; they share the actors and replay.steps."""
    packet: int = 20
    """Steps of each environment sent together, actor.actor_update_period at most: new weights come with the receipt
    (ours; Ape-X sends 50 transitions)."""
    slack: float = 2.0
    """Batches that learning may be behind before the actors wait (ours)."""
    inference: Literal["actor", "central"] = "actor"
    """Each actor has the network, or all send their observations to one process that has it (on a GPU)."""
    actor_cpus: float = 1.0
    """CPUs that an actor reserves."""
    shard_cpus: float = 1.0
    """CPUs that a replay process reserves."""
    learner_cpus: float = 1.0
    """CPUs that the learner reserves."""
    learner_gpus: float = -1.0
    """GPUs that the learner reserves; -1 is one if the cluster has one."""
    inference_cpus: float = 1.0
    """CPUs that the central inference reserves."""
    inference_gpus: float = 0.0
    """GPUs that the central inference reserves."""
    object_store: int = 200_000_000
    """Bytes of shared memory of a cluster started here (ours: some batches and weights)."""
