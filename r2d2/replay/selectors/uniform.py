"""Uniform: every item with the same probability."""

from __future__ import annotations

from typing import Any

import numpy as np

from r2d2.replay.checks import check_count
from r2d2.replay.kernels import places as kernels
from r2d2.replay.rows import extended
from r2d2.replay.saved import Saved
from r2d2.replay.selectors.selector import Places, Values


class Uniform:
    """Every item with the same probability."""

    def __init__(self, capacity: int) -> None:
        self.capacity = check_count("capacity", capacity)
        self._dense = np.empty(capacity, np.int32)  # the places in use
        self._index = np.full(capacity, -1, np.int32)  # place -> its index in _dense
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        return self._dense.nbytes + self._index.nbytes

    def grow(self, capacity: int) -> None:
        self._dense = extended(self._dense, capacity, 0)
        self._index = extended(self._index, capacity, -1)
        self.capacity = capacity

    def insert(self, places: Places, streams: Places) -> None:
        kernels.append(places, self._dense, self._index, self._count)
        self._count += len(places)

    def remove(self, places: Places) -> None:
        kernels.fill_holes(places, self._dense, self._index, self._count)
        self._count -= len(places)

    def update(self, places: Places, priorities: Values) -> None:
        """Priorities do not matter here."""

    def check(self, n: int) -> None:
        """Any number can be drawn."""

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Places, Values]:
        drawn = (rng.random(n) * self._count).astype(np.int64)  # twice as fast as integers, and even to 2^-53
        return self._dense.take(drawn).astype(np.int64), np.full(n, 1.0 / self._count)

    def values(self, places: Places) -> Values:
        return np.ones(len(places))

    def min_probability(self) -> float:
        """Of the items held: 1 / their number."""
        return 1.0 / self._count

    def state_dict(self) -> dict[str, Any]:
        return {"places": self._dense[: self._count].astype(np.int64)}

    def check_state(self, saved: Saved) -> None:
        saved.places("places", self.capacity)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.check_state(Saved(state, "selector"))
        self._count = 0
        self._index[:] = -1
        self.insert(state["places"], state["places"])
