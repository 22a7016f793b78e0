"""Removers answer which items are given up when room is needed."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Slots = NDArray[np.int64]


class Remover(Protocol):
    """What a replay asks of a remover. All calls take arrays."""

    def insert(self, slots: Slots) -> None:
        """New items, in the order in which they came."""

    def pop(self, n: int) -> Slots:
        """Forget up to n items and return their slots; the replay removes them everywhere else."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    @property
    def nbytes(self) -> int: ...


class Fifo:
    """The oldest item goes first."""

    def __init__(self, capacity: int) -> None:
        self._ring = np.empty(capacity, np.int64)
        self._first = 0  # items popped so far
        self._end = 0  # items inserted so far

    @property
    def nbytes(self) -> int:
        return self._ring.nbytes

    def insert(self, slots: Slots) -> None:
        places = np.arange(self._end, self._end + len(slots)) % len(self._ring)
        self._ring[places] = slots
        self._end += len(slots)

    def pop(self, n: int) -> Slots:
        n = min(n, self._end - self._first)
        places = np.arange(self._first, self._first + n) % len(self._ring)
        self._first += n
        return self._ring[places]

    def state_dict(self) -> dict[str, Any]:
        places = np.arange(self._first, self._end) % len(self._ring)
        return {"slots": self._ring[places]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._first = self._end = 0
        self.insert(state["slots"])
