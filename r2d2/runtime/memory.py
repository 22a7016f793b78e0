"""Whether a run fits into memory, before anything of it is allocated."""

from __future__ import annotations

from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.build.replays import replay_bytes
from r2d2.build.sizes import gigabytes, size_table
from r2d2.config import Config
from r2d2.envs.vector import EnvSpec


def size_report(config: Config) -> int:
    """Print what the replay will take at capacity; returns the exit code. MemoryError if a part cannot fit."""
    spec = environments.spec(config)
    sizes = replay_bytes(config, spec)
    print(size_table(sizes, build.network_bytes(config, spec), steps=config.replay.steps))
    build.check_memory(config, spec, _in_memory(sizes, config))
    return 0


def check_memory(config: Config, spec: EnvSpec) -> None:
    """Say what the replay will take at capacity; MemoryError if that or the network cannot fit."""
    sizes = replay_bytes(config, spec)
    if not config.cluster.address:  # else the shards may be anywhere
        build.check_memory(config, spec, _in_memory(sizes, config))
    print(f"replay of {config.replay.steps:,} steps: about {gigabytes(sum(sizes.values()))} at capacity")


def _in_memory(sizes: dict[str, int], config: Config) -> dict[str, int]:
    """Without what lies in `replay.folder`: the disk is asked for it when the replay is made."""
    return {"index": sizes["index"]} if config.replay.folder else sizes
