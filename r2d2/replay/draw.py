"""Draw: a batch whose compressed blocks decode in background threads."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from r2d2.replay.codecs import Job
from r2d2.types import Batch

THREADS = min(4, os.cpu_count() or 1)
_pool = ThreadPoolExecutor(THREADS, "replay-decode")  # idle threads cost nothing; decoding frees the GIL


class Draw:
    """A batch that may still be decoding. It is fixed: later writes and removals do not change it."""

    def __init__(self, batch: Batch, jobs: list[Job]) -> None:
        self._batch = batch
        self._futures = [_pool.submit(job) for job in jobs]

    def result(self) -> Batch:
        """The batch, complete."""
        for future in self._futures:
            future.result()
        return self._batch
