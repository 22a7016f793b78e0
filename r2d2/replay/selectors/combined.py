"""Combined: the newest items of every stream are in each batch (combined replay, Zhang & Sutton 2017).

However large the replay, what just happened is learned from at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.checks import check_count
from r2d2.replay.kernels import places as kernels
from r2d2.replay.rows import extended
from r2d2.replay.saved import Saved
from r2d2.replay.selectors.selector import Selector

Ints = NDArray[np.int64]
Values = NDArray[np.float64]


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
        self.capacity, self.streams = check_count("capacity", capacity), check_count("streams", streams)
        self.rest, self.newest = rest, check_count("newest", newest)
        if getattr(rest, "capacity", capacity) < capacity:
            raise ValueError(f"rest must have room for capacity={capacity} items, got one of {rest.capacity}")  # type: ignore[attr-defined]
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

    def grow(self, capacity: int) -> None:
        self.rest.grow(capacity)
        self._older, self._newer, self._stream = (
            extended(link, capacity, -1) for link in (self._older, self._newer, self._stream)
        )
        self.capacity = capacity

    def insert(self, places: Ints, streams: Ints) -> None:
        self.rest.insert(places, streams)
        kernels.link(places, streams, self._head, self._older, self._newer, self._stream)

    def remove(self, places: Ints) -> None:
        self.rest.remove(places)
        kernels.unlink(places, self._head, self._older, self._newer, self._stream)

    def update(self, places: Ints, priorities: Values) -> None:
        self.rest.update(places, priorities)

    def check(self, n: int) -> None:
        """Raise ValueError for a batch without room for the newest items and a draw."""
        if n < self.least:
            raise ValueError(
                f"n must be at least {self.least} (newest={self.newest} for each of {len(self._head)} "
                f"streams, and one draw from the rest), got {n}: raise the batch, or use fewer environments"
            )
        self.rest.check(n)

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Ints, Values]:
        """The newest items first, by stream; then the draws."""
        self.check(n)
        newest = np.empty(self.least, np.int64)
        count = kernels.newest_of_each(self._head, self._older, self.newest, newest)
        drawn, drawn_probability = self.rest.sample(n - count, rng)
        places = np.concatenate([newest[:count], drawn])
        # Every value over the same total: what the draws answered says it, whatever selector it is.
        total = self.rest.values(drawn[:1])[0] / drawn_probability[0]
        rest = np.concatenate([self.rest.values(newest[:count]) / total, drawn_probability])
        held = np.zeros(n, np.bool_)
        kernels.is_newest(places, self._newer, self.newest, held)
        return places, (held + (n - count) * rest) / n

    def values(self, places: Ints) -> Values:
        """Those of `rest`: which items are newest changes with every insertion."""
        return self.rest.values(places)

    def state_dict(self) -> dict[str, Any]:
        links = {"head": self._head, "older": self._older, "newer": self._newer, "stream": self._stream}
        return {"rest": self.rest.state_dict(), **{name: link.copy() for name, link in links.items()}}

    def check_state(self, saved: Saved) -> None:
        self.rest.check_state(saved.part("rest"))
        saved.array("head", np.int64, (self.streams,), low=-1, high=self.capacity - 1)
        for name in ("older", "newer"):
            saved.array(name, np.int64, (self.capacity,), low=-1, high=self.capacity - 1)
        saved.array("stream", np.int64, (self.capacity,), low=-1, high=self.streams - 1)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.check_state(Saved(state, "selector"))
        self.rest.load_state_dict(state["rest"])
        self._head[:], self._stream[:] = state["head"], state["stream"]
        self._older[:], self._newer[:] = state["older"], state["newer"]
