"""Fifo: first in, first out."""

from __future__ import annotations

from typing import Any

import numpy as np

from r2d2.replay.checks import check_count
from r2d2.replay.kernels import places as kernels
from r2d2.replay.removers.remover import NONE, Places
from r2d2.replay.saved import Saved


class Fifo:
    """The oldest item goes first."""

    def __init__(self, capacity: int) -> None:
        self.capacity = check_count("capacity", capacity)
        self._ring = np.empty(capacity, np.int32)
        self._first = 0  # items popped so far
        self._end = 0  # items inserted so far

    @property
    def nbytes(self) -> int:
        return self._ring.nbytes

    def offer(self, n: int, free: int) -> tuple[None, Places]:
        return None, self.pop(n - free) if n > free else NONE

    def grow(self, capacity: int) -> None:
        places = self.pop(self._end - self._first)
        self._ring = np.empty(capacity, np.int32)
        self._first = self._end = 0
        self.insert(places)
        self.capacity = capacity

    def insert(self, places: Places) -> None:
        kernels.push(self._ring, self._end, places)
        self._end += len(places)

    def pop(self, n: int) -> Places:
        n = min(n, self._end - self._first)
        places = kernels.take(self._ring, self._first, n)
        self._first += n
        return places

    def updated(self, count: int) -> Places:
        return NONE

    def state_dict(self) -> dict[str, Any]:
        return {"places": kernels.take(self._ring, self._first, self._end - self._first)}

    def check_state(self, saved: Saved, items: Places | None = None) -> None:
        held = saved.held("places", items)
        if len(held) > self.capacity:
            raise saved.refuse("places", f"must be at most {self.capacity}, got {len(held)}")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.check_state(Saved(state, "remover"))
        self._first = self._end = 0
        self.insert(state["places"])
