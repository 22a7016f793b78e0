"""How much memory a replay will take, and whether it fits, before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import psutil

from r2d2.types import Column

# Compression of blocks of 40 Atari frames by game: 25 to 190 with zstd, 14 to 60 with lz4. An estimate for
# an unknown game takes a low one; raw is exact.
ASSUMED_RATIO = {"raw": 1.0, "lz4": 15.0, "zstd": 25.0}


SHARE = 0.9  # of the available memory, for the replay; networks, environments and batches want some too


def replay_bytes(columns: Mapping[str, Column], *, steps: int, items: int, core_size: int) -> dict[str, int]:
    """Bytes at capacity by column, with the items' core states and index."""
    sizes = {name: int(steps * c.row_bytes / ASSUMED_RATIO[c.codec]) for name, c in columns.items()}
    return sizes | {"core state": items * core_size * 4, "index": items * 64}


def available_bytes() -> int:
    """Bytes that this process may still take: the machine's free memory, or its container's if less."""
    free = psutil.virtual_memory().available
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    try:
        return min(free, int(limit.read_text()) - int(used.read_text()))
    except (OSError, ValueError):  # no container, or no limit ("max")
        return free


def check_fits(sizes: Mapping[str, int]) -> None:
    """Raise MemoryError, with the bytes needed and available and what to change, if a replay cannot fit."""
    needed, free = sum(sizes.values()), available_bytes()
    if needed > SHARE * free:
        largest = max(sizes, key=lambda name: sizes[name])
        raise MemoryError(
            f"the replay needs {gigabytes(needed)} at capacity ({gigabytes(sizes[largest])} of it for "
            f"{largest}) but only {gigabytes(free)} are available: lower --replay.steps, lower "
            "--env.frame-size or use --replay.codec zstd"
        )


def size_table(sizes: Mapping[str, int], *, steps: int) -> str:
    """Bytes per step and at capacity by column, the total, and how many steps would fit here."""
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
        f"{ASSUMED_RATIO['zstd']:g} times (zstd); the run logs the true size as replay_bytes"
    )
    return "\n".join(lines)


def gigabytes(n: int) -> str:
    """Bytes for a reader, as 1,234,567,890 bytes (1.23 GB)."""
    return f"{n:,} bytes ({n / 1e9:.2f} GB)"
