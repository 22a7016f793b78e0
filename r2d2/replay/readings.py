"""Readings: batches that are still being copied from stored rows, beside whoever writes.

The rows of an item never change as long as their slots are not filled again. So a batch is drawn while nothing else
uses the replay, but its large columns can be copied later: until that is done its slots are pinned, and new
blocks go to others. A writer waits for a reader only where every free slot is pinned.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, wait

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.kernels import reading as kernels

MOST = 4  # readings after which those that nobody asked for the result of are looked at; ours


class Reading:
    """One batch, of rows [B, T]. `over` is set by whoever waited for its copies."""

    def __init__(self, rows: NDArray[np.int64]) -> None:
        self.rows, self.over = rows, False
        self.copies: Sequence[Future[None]] = ()


class Readings:
    """Counts in `pinned` [slots] how many batches copy from each slot, of `block` rows. Except for `Reading.over`,
    everything is used as the replay is: by one thread at a time."""

    def __init__(self, pinned: NDArray[np.int32], block: int) -> None:
        self._pinned, self._block = pinned, block
        self._running: list[Reading] = []

    def add(self, rows: NDArray[np.int64]) -> Reading:
        """Pin the slots of these rows [B, T]."""
        self.release(every=len(self._running) >= MOST)
        reading = Reading(rows)
        kernels.pin(rows, self._block, self._pinned, 1)
        self._running.append(reading)
        return reading

    def release(self, *, every: bool = False) -> None:
        """Unpin the slots of the batches that are over; of `every` one whose copies are done."""
        for reading in self._running:
            if reading.over or (every and all(copy.done() for copy in reading.copies)):
                self._unpin(reading)
        self._running = [reading for reading in self._running if reading.rows.size]

    def wait(self) -> None:
        """Until the oldest batch is copied; its slots are no longer pinned then."""
        reading = self._running.pop(0)
        wait(reading.copies)
        self._unpin(reading)

    def settle(self) -> None:
        """Until all are."""
        while self._running:
            self.wait()

    def __len__(self) -> int:
        return len(self._running)

    def _unpin(self, reading: Reading) -> None:
        kernels.pin(reading.rows, self._block, self._pinned, -1)
        reading.rows = reading.rows[:0]
