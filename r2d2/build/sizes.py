"""How much memory a replay and a network will take, and whether they fit, before anything is allocated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import psutil
import torch

from r2d2.build import agents, environments
from r2d2.build.replays import kept_steps, versions
from r2d2.config import Config
from r2d2.envs.vector import EnvSpec
from r2d2.types import Column

# Compression of blocks of 40 Atari frames by game: 25 to 190 with zstd, 14 to 60 with lz4. The estimate for
# an unknown game uses a low ratio; raw is exact.
ASSUMED_RATIO = {"raw": 1.0, "lz4": 15.0, "zstd": 25.0}
SHARE = 0.9  # of the available memory, for replay and network; environments and batches need some too


def report(config: Config, demonstrations: int = 0) -> int:
    """Print the size at capacity of the replay, with so many steps of demonstrations; returns the exit code.
    MemoryError if a part cannot fit."""
    spec = environments.spec(config)
    sizes = replay_bytes(config, spec, demonstrations)
    print(size_table(sizes, network_bytes(config, spec), steps=config.replay.steps))
    _check(config, spec, sizes)
    return 0


def check(config: Config, spec: EnvSpec, demonstrations: int = 0) -> None:
    """Print the replay's size at capacity, in one line; MemoryError if it or the network cannot fit."""
    sizes = replay_bytes(config, spec, demonstrations)
    if not config.cluster.address:  # else the shards may be on any machine
        _check(config, spec, sizes)
    beside = f" and {demonstrations:,} of demonstrations" if demonstrations else ""
    total = gigabytes(sum(sizes.values()))
    print(f"replay of {config.replay.steps:,} steps{beside}: about {total} at capacity")


def _check(config: Config, spec: EnvSpec, replay: Mapping[str, int]) -> None:
    if config.replay.folder:  # its disk space is checked when the replay is made
        replay = {"index": replay["index"]}
    needed, where = network_bytes(config, spec), agents.device(config)
    if where.type == "cuda":
        check_network_fits(needed, torch.cuda.mem_get_info(where)[0])
        needed = {}
    check_fits(replay, needed)


def replay_bytes(config: Config, spec: EnvSpec, demonstrations: int = 0) -> dict[str, int]:
    """Estimated bytes of the replay at capacity, by column, with so many steps of demonstrations; nothing is
    allocated for it."""
    r = config.replay
    columns = agents.columns(config, spec, stack=1)
    steps = kept_steps(config) * (2 if r.long_term else 1)
    period = min(r.period, spec.max_episode_steps or r.period)  # an episode makes at least one item
    items = versions(config) * (r.items * (2 if r.long_term else 1) or -(-steps // period))
    steps, items = steps + demonstrations, items + versions(config) * -(-demonstrations // period)
    return column_bytes(columns, steps=steps, items=items, core_size=agents.core_size(config))


def column_bytes(columns: Mapping[str, Column], *, steps: int, items: int, core_size: int) -> dict[str, int]:
    """Bytes at capacity by column, with the items' core states and index."""
    sizes = {name: int(steps * c.row_bytes / ASSUMED_RATIO[c.codec]) for name, c in columns.items()}
    return sizes | {"core state": items * core_size * 4, "index": items * 64}


def network_bytes(config: Config, spec: EnvSpec) -> dict[str, int]:
    """Bytes of the learner's and the actor's float32 networks and of Adam, by part; none is allocated for it."""
    with torch.device("meta"):
        made = agents.network(config, spec)
    parameters = sum(parameter.numel() for parameter in made.parameters())
    copies = {"online": 1, "target": 1, "actor": 1, "gradients": 1, "Adam's moments": 2}
    return {name: 4 * parameters * count for name, count in copies.items()}


def available_bytes() -> int:
    """Bytes that this process may still take: the machine's free memory, or its container's if less."""
    free = psutil.virtual_memory().available
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    try:
        return min(free, int(limit.read_text()) - int(used.read_text()))
    except (OSError, ValueError):  # no container, or no limit ("max")
        return free


def check_fits(replay: Mapping[str, int], network: Mapping[str, int] = MappingProxyType({})) -> None:
    """Raise MemoryError, with the bytes needed and available and what to change, if the parts of a replay, or of
    a network in the same memory, cannot fit."""
    needed, beside, free = sum(replay.values()), sum(network.values()), available_bytes()
    check_network_fits(network, free)
    if needed + beside > SHARE * free:
        largest = max(replay, key=lambda name: replay[name])
        others = f", the network {gigabytes(beside)}," if beside else ""
        raise MemoryError(
            f"the replay needs {gigabytes(needed)} at capacity ({gigabytes(replay[largest])} of it for "
            f"{largest}){others} but only {gigabytes(free)} are available: lower --replay.steps, lower "
            "--env.frame-size or use --replay.codec zstd"
        )


def check_network_fits(network: Mapping[str, int], free: int) -> None:
    """Raise MemoryError if the parts of a network cannot fit into the `free` bytes of its device."""
    needed = sum(network.values())
    if needed > SHARE * free:
        parts = ", ".join(f"{n:,} {name}" for name, n in network.items())
        raise MemoryError(
            f"the network needs {gigabytes(needed)} ({parts}) but only {gigabytes(free)} are available: lower "
            "--network.hidden, --network.core-width or --network.features"
        )


def size_table(sizes: Mapping[str, int], network: Mapping[str, int], *, steps: int) -> str:
    """The replay's bytes per step and at capacity by column, its total, how many steps would fit here, and the
    network's bytes."""
    total = sum(sizes.values())
    rows = [*sizes.items(), ("total", total)]
    lines = [f"{name:18} {n / steps:12,.2f} bytes/step {n / 1e9:10.3f} GB" for name, n in rows]
    free = available_bytes()
    fits = int(SHARE * free * steps / total)
    lines.append(
        f"available {free / 1e9:.1f} GB: up to {fits:,} steps of this kind fit (asked for: {steps:,})"
    )
    lines.append(
        f"compressed columns are estimated at {ASSUMED_RATIO['lz4']:g} times (lz4), "
        f"{ASSUMED_RATIO['zstd']:g} times (zstd); the run logs the true size as memory/replay_bytes"
    )
    lines.append(f"the network takes {gigabytes(sum(network.values()))}: {', '.join(network)}")
    return "\n".join(lines)


def gigabytes(n: int) -> str:
    """Bytes for a reader, as 1,234,567,890 bytes (1.23 GB)."""
    return f"{n:,} bytes ({n / 1e9:.2f} GB)"
