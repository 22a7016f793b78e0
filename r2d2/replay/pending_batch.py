"""PendingBatch: a batch whose compressed blocks decode in background threads."""

from __future__ import annotations

from collections.abc import Callable

from r2d2.replay import workers
from r2d2.replay.codecs import Job
from r2d2.types import Batch


class PendingBatch:
    """A batch that may still be decoding. It is fixed: later writes and removals do not change it."""

    def __init__(self, batch: Batch, jobs: list[Job], finish: Callable[[], None] | None = None) -> None:
        """`jobs` decode into the batch; `finish` has the last word, once they are done."""
        self._batch, self._finish = batch, finish
        self._futures = [workers.submit(job) for job in jobs]

    def result(self) -> Batch:
        """The batch, complete."""
        for future in self._futures:
            future.result()
        if self._finish is not None:
            self._finish()
            self._finish = None
        return self._batch
