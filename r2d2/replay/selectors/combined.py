"""Combined: the newest items of every stream are in each batch (combined replay, Zhang & Sutton 2017).

However large the replay, what just happened is learned from at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from r2d2.replay.selectors.selector import Selector

Ints = NDArray[np.int64]
Values = NDArray[np.float64]


@njit(cache=True, nogil=True)
def _link(places, streams, head, older, newer, stream_of):
    """Put items at the new end of their streams' chains, in order."""
    for i in range(len(places)):
        place, stream = places[i], streams[i]
        before = head[stream]
        older[place], newer[place], stream_of[place] = before, -1, stream
        if before >= 0:
            newer[before] = place
        head[stream] = place


@njit(cache=True, nogil=True)
def _unlink(places, head, older, newer, stream_of):
    """Take items out of their chains, wherever in them they are."""
    for place in places:
        before, after = older[place], newer[place]
        if before >= 0:
            newer[before] = after
        if after >= 0:
            older[after] = before
        else:
            head[stream_of[place]] = before
        stream_of[place] = -1


@njit(cache=True, nogil=True)
def _newest(head, older, newest, out):
    """The up to `newest` last items of every stream's chain; returns how many."""
    count = 0
    for stream in range(len(head)):
        place = head[stream]
        for _ in range(newest):
            if place < 0:
                break
            out[count] = place
            count += 1
            place = older[place]
    return count


@njit(cache=True, nogil=True)
def _is_newest(places, newer, newest, out):
    """Which items have fewer than `newest` newer ones of their stream."""
    for i in range(len(places)):
        after = newer[places[i]]
        for _ in range(newest):
            if after < 0:
                out[i] = True
                break
            after = newer[after]


class Combined:
    """The `newest` items held of each of `streams` streams, then draws from `rest`.

    The probability of an item is its expected share of the batch, however it got in: with c newest items in
    a batch of n, P(i) = ([i is newest] + (n - c) P_rest(i)) / n. It sums to 1 over all items, so importance
    weights with beta = 1 make the batch an unbiased estimate of the uniform mean. (Zhang & Sutton use no
    weights: beta = 0.)

    A batch must have room for one draw from `rest` beside all the newest items; `sample` refuses a smaller
    one from the first draw on, also while some streams have no item yet.
    """

    def __init__(self, rest: Selector, *, capacity: int, streams: int, newest: int = 1) -> None:
        for name, value in (("capacity", capacity), ("streams", streams), ("newest", newest)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.rest, self.newest = rest, newest
        self._head = np.full(streams, -1, np.int64)  # each stream's newest item, -1: none
        self._older = np.full(capacity, -1, np.int64)  # the item before, of the same stream
        self._newer = np.full(capacity, -1, np.int64)
        self._stream = np.full(capacity, -1, np.int64)

    def __len__(self) -> int:
        return len(self.rest)

    @property
    def nbytes(self) -> int:
        return self.rest.nbytes + 3 * self._older.nbytes + self._head.nbytes

    @property
    def least(self) -> int:
        """The fewest items of a batch."""
        return self.newest * len(self._head) + 1

    def insert(self, places: Ints, streams: Ints) -> None:
        self.rest.insert(places, streams)
        _link(places, streams, self._head, self._older, self._newer, self._stream)

    def remove(self, places: Ints) -> None:
        self.rest.remove(places)
        _unlink(places, self._head, self._older, self._newer, self._stream)

    def update(self, places: Ints, priorities: Values) -> None:
        self.rest.update(places, priorities)

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Ints, Values]:
        """The newest items first, by stream; then the draws."""
        if n < self.least:
            raise ValueError(
                f"n must be at least {self.least} (newest={self.newest} for each of {len(self._head)} "
                f"streams, and one draw from the rest), got {n}: raise the batch, or use fewer environments"
            )
        newest = np.empty(self.least, np.int64)
        count = _newest(self._head, self._older, self.newest, newest)
        drawn, drawn_probability = self.rest.sample(n - count, rng)
        places = np.concatenate([newest[:count], drawn])
        # Every value over the same total: what the draws answered says it, whatever selector it is.
        total = self.rest.values(drawn[:1])[0] / drawn_probability[0]
        rest = np.concatenate([self.rest.values(newest[:count]) / total, drawn_probability])
        held = np.zeros(n, np.bool_)
        _is_newest(places, self._newer, self.newest, held)
        return places, (held + (n - count) * rest) / n

    def values(self, places: Ints) -> Values:
        """Those of `rest`: which items are newest changes with every insertion."""
        return self.rest.values(places)

    def state_dict(self) -> dict[str, Any]:
        links = {"head": self._head, "older": self._older, "newer": self._newer, "stream": self._stream}
        return {"rest": self.rest.state_dict(), **{name: link.copy() for name, link in links.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rest.load_state_dict(state["rest"])
        self._head[:], self._stream[:] = state["head"], state["stream"]
        self._older[:], self._newer[:] = state["older"], state["newer"]
