"""The threads that encode and decode blocks; both let go of the interpreter's lock while they work."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

MOST = 4  # threads unless `use` asks for more: two already outrun a memory copy; ours

_count = min(MOST, os.cpu_count() or 1)
_pool = ThreadPoolExecutor(_count, "replay")  # idle threads cost nothing


def use(threads: int) -> None:
    """Encode and decode in this many threads from now on, in all replays of this process."""
    global _count, _pool
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    _pool.shutdown(wait=True)
    _count, _pool = threads, ThreadPoolExecutor(threads, "replay")


def count() -> int:
    """How many there are."""
    return _count


def submit(job: Callable[[], Result]) -> Future[Result]:
    """Run a job as soon as a thread is free; jobs begin in the order in which they were submitted."""
    return _pool.submit(job)
