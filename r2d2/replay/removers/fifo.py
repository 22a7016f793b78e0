"""Fifo: first in, first out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.checks import check_count
from r2d2.replay.kernels import places as kernels
from r2d2.replay.removers.remover import NONE, Places
from r2d2.replay.saved import Saved


class Fifo:
    """The oldest item goes first."""

    def __init__(self, capacity: int) -> None:
        self.capacity = check_count("capacity", capacity)
        self._ring = np.empty(capacity, np.int32)
        self._ends = np.zeros(2, np.int64)  # items popped and inserted so far

    @property
    def arrays(self) -> dict[str, NDArray]:
        """As `kernels.held` calls them."""
        return {"ring": self._ring, "ends": self._ends}

    @property
    def nbytes(self) -> int:
        return self._ring.nbytes

    @property
    def _count(self) -> int:
        return int(self._ends[1] - self._ends[0])

    def offer(self, n: int, free: int) -> tuple[None, Places]:
        return None, self.pop(n - free) if n > free else NONE

    def grow(self, capacity: int) -> None:
        places = self.pop(self._count)
        self._ring = np.empty(capacity, np.int32)
        self._ends[:] = 0
        self.insert(places)
        self.capacity = capacity

    def insert(self, places: Places) -> None:
        kernels.push(self._ring, int(self._ends[1]), places)
        self._ends[1] += len(places)

    def pop(self, n: int) -> Places:
        n = min(n, self._count)
        places = kernels.take(self._ring, int(self._ends[0]), n)
        self._ends[0] += n
        return places

    def updated(self, count: int) -> Places:
        return NONE

    def state_dict(self) -> dict[str, Any]:
        return {"places": kernels.take(self._ring, int(self._ends[0]), self._count)}

    def check_state(self, saved: Saved, items: Places | None = None) -> None:
        held = saved.held("places", items)
        if len(held) > self.capacity:
            raise saved.refuse("places", f"must be at most {self.capacity}, got {len(held)}")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.check_state(Saved(state, "remover"))
        self._ends[:] = 0
        self.insert(state["places"])
