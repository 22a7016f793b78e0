"""Removers answer which items are given up when room is needed."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

Places = NDArray[np.int64]


class Remover(Protocol):
    """What a replay asks of a remover. All calls take arrays."""

    def offer(self, n: int, free: int) -> tuple[NDArray[np.bool_] | None, Places]:
        """Which of n newcomers [n], in the order in which they come, are taken in where `free` places are free
        (None is all of them), and the places of the items that leave for them."""

    def insert(self, places: Places) -> None:
        """The places of the newcomers that were taken in, in their order."""

    def pop(self, n: int) -> Places:
        """Forget up to n items and return their places; the replay removes them everywhere else."""

    def updated(self, count: int) -> Places:
        """The priorities of `count` items were updated; returns the places of items to give up now."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    @property
    def nbytes(self) -> int: ...


NONE: Places = np.empty(0, np.int64)


@njit(cache=True, nogil=True)
def _push(ring, end, places):
    for i in range(len(places)):
        ring[(end + i) % len(ring)] = places[i]


@njit(cache=True, nogil=True)
def _take(ring, first, n):
    places = np.empty(n, np.int64)
    for i in range(n):
        places[i] = ring[(first + i) % len(ring)]
    return places


class Fifo:
    """The oldest item goes first."""

    def __init__(self, capacity: int) -> None:
        self._ring = np.empty(capacity, np.int32)
        self._first = 0  # items popped so far
        self._end = 0  # items inserted so far

    @property
    def nbytes(self) -> int:
        return self._ring.nbytes

    def offer(self, n: int, free: int) -> tuple[None, Places]:
        return None, self.pop(n - free) if n > free else NONE

    def insert(self, places: Places) -> None:
        _push(self._ring, self._end, places)
        self._end += len(places)

    def pop(self, n: int) -> Places:
        n = min(n, self._end - self._first)
        places = _take(self._ring, self._first, n)
        self._first += n
        return places

    def updated(self, count: int) -> Places:
        return NONE

    def state_dict(self) -> dict[str, Any]:
        return {"places": _take(self._ring, self._first, self._end - self._first)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._first = self._end = 0
        self.insert(state["places"])
