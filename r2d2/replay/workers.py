"""The threads that encode and decode blocks; both release the interpreter's lock while they work.

A fork copies no threads, and jobs that wait for one would wait forever in the child. So before a fork the jobs
submitted so far are finished and the threads end, and parent and child both start new ones when there is work.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from r2d2.replay.checks import check_count

Result = TypeVar("Result")

MOST = 4  # threads unless `use` asks for more: two already outrun a memory copy; ours

_count = min(MOST, os.cpu_count() or 1)
_pool = ThreadPoolExecutor(_count, "replay")  # idle threads cost nothing
_lock = Lock()  # held while the pool is changed


def use(threads: int) -> None:
    """Encode and decode in this many threads from now on, in all replays of this process."""
    global _count, _pool
    threads = check_count("threads", threads)
    with _lock:
        _pool.shutdown(wait=True)
        _count, _pool = threads, ThreadPoolExecutor(threads, "replay")


def count() -> int:
    """How many there are."""
    return _count


def submit(job: Callable[[], Result]) -> Future[Result]:
    """Run a job as soon as a thread is free; jobs begin in the order in which they were submitted."""
    with _lock:
        return _pool.submit(job)


def _before_fork() -> None:
    _lock.acquire()
    _pool.shutdown(wait=True)


def _after_fork() -> None:
    global _pool
    _pool = ThreadPoolExecutor(_count, "replay")
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
