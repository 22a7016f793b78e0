"""Uniform: every item with the same probability."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        self._held = np.zeros(1, np.int64)  # their number

    def __len__(self) -> int:
        return int(self._held[0])

    @property
    def arrays(self) -> dict[str, NDArray]:
        """As `kernels.held` calls them."""
        return {"dense": self._dense, "index": self._index, "count": self._held}

    @property
    def nbytes(self) -> int:
        return self._dense.nbytes + self._index.nbytes

    def grow(self, capacity: int) -> None:
        self._dense = extended(self._dense, capacity, 0)
        self._index = extended(self._index, capacity, -1)
        self.capacity = capacity

    def insert(self, places: Places, streams: Places) -> None:
        kernels.append(places, self._dense, self._index, len(self))
        self._held[0] += len(places)

    def remove(self, places: Places) -> None:
        kernels.fill_holes(places, self._dense, self._index, len(self))
        self._held[0] -= len(places)

    def update(self, places: Places, priorities: Values) -> None:
        """Priorities do not matter here."""

    def check(self, n: int) -> None:
        """Any number can be drawn."""

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Places, Values]:
        drawn = (rng.random(n) * len(self)).astype(np.int64)  # twice as fast as integers, and even to 2^-53
        return self._dense.take(drawn).astype(np.int64), np.full(n, 1.0 / len(self))

    def values(self, places: Places) -> Values:
        return np.ones(len(places))

    def min_probability(self) -> float:
        """Of the items held: 1 / their number."""
        return 1.0 / len(self)

    def state_dict(self) -> dict[str, Any]:
        return {"places": self._dense[: len(self)].astype(np.int64)}

    def check_state(self, saved: Saved) -> None:
        saved.places("places", self.capacity)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.check_state(Saved(state, "selector"))
        self._held[0] = 0
        self._index[:] = -1
        self.insert(state["places"], state["places"])
