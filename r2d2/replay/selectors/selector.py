"""Selectors answer which items are replayed next.

A selector sees the items' places (small integers that the replay hands out and takes back), never steps.
Draws are with replacement. `sample` returns places [n] and the probability with which each was drawn, from which
the replay computes importance weights.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from r2d2.replay.selectors.strata import strata
from r2d2.replay.selectors.sum_tree import SumTree

Places = NDArray[np.int64]
Values = NDArray[np.float64]

_ONE = "fully proportional"


class Selector(Protocol):
    """What a replay asks of a selector. All calls take arrays."""

    def insert(self, places: Places, streams: Places) -> None:
        """New items, oldest first, and the streams [K] that they are from; they get the highest priority seen so
        far where priorities count."""

    def remove(self, places: Places) -> None:
        """Items that the replay gave up."""

    def update(self, places: Places, priorities: Values) -> None:
        """New priorities (finite, >= 0; the replay has checked them)."""

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Places, Values]:
        """n places and their probabilities."""

    def values(self, places: Places) -> Values:
        """The unnormalized probability of each place [K]."""

    def __len__(self) -> int: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    @property
    def nbytes(self) -> int: ...


@njit(cache=True, nogil=True)
def _append(places, dense, index, count):
    for i in range(len(places)):
        dense[count + i] = places[i]
        index[places[i]] = count + i


@njit(cache=True, nogil=True)
def _fill_holes(places, dense, index, count):
    """Put the last live place into each hole: O(1) per item and no order to keep."""
    for i in range(len(places)):
        count -= 1
        hole, mover = index[places[i]], dense[count]
        dense[hole] = mover
        index[mover] = hole
        index[places[i]] = -1


class Uniform:
    """Every item with the same probability."""

    def __init__(self, capacity: int) -> None:
        self._dense = np.empty(capacity, np.int32)  # the live places
        self._index = np.full(capacity, -1, np.int32)  # place -> its index in _dense
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        return self._dense.nbytes + self._index.nbytes

    def insert(self, places: Places, streams: Places) -> None:
        _append(places, self._dense, self._index, self._count)
        self._count += len(places)

    def remove(self, places: Places) -> None:
        _fill_holes(places, self._dense, self._index, self._count)
        self._count -= len(places)

    def update(self, places: Places, priorities: Values) -> None:
        """Priorities do not matter here."""

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

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._count = 0
        self._index[:] = -1
        self.insert(state["places"], state["places"])


def check_alpha(alpha: float, one: str) -> float:
    """An exponent of priorities; `one` says what 1 means."""
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f"alpha must be in [0, 1] (0 is uniform, 1 {one}), got {alpha}")
    return float(alpha)


class Proportional:
    """P(i) = (p_i + epsilon)^alpha / sum, the proportional variant of Schaul et al. (2016), section 3.3.

    `epsilon` keeps an item whose error is exactly 0 alive; 0 turns that off. `stratified` draws one item
    from each of n equal ranges of the total (their appendix B.2.1), which lowers the variance of a batch.

    The tree holds powers. With `changing_alpha` the priorities are kept beside them (8 bytes an item), so that
    `set_alpha` can raise all of them anew: the power 0 does not tell what it was made of, and powers of powers
    would drift.
    """

    def __init__(
        self, capacity: int, *, alpha: float = 0.9, epsilon: float = 1e-6, stratified: bool = True,
        changing_alpha: bool = False,
    ) -> None:  # fmt: skip
        if epsilon < 0.0:
            raise ValueError(f"epsilon must be >= 0, got {epsilon}")
        self.alpha, self.epsilon, self.stratified = check_alpha(alpha, _ONE), float(epsilon), stratified
        self.max_priority = 1.0  # of all updates so far; what a new item starts with
        self._tree = SumTree(capacity)
        self._priority = np.full(capacity, -1.0) if changing_alpha else None  # -1: no item
        self._seen = False
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        return self._tree.nbytes + (0 if self._priority is None else self._priority.nbytes)

    def insert(self, places: Places, streams: Places) -> None:
        self._count += len(places)
        if self._priority is not None:
            self._priority[places] = self.max_priority
        self._tree.fill(places, (self.max_priority + self.epsilon) ** self.alpha)

    def remove(self, places: Places) -> None:
        self._count -= len(places)
        if self._priority is not None:
            self._priority[places] = -1.0
        self._tree.fill(places, 0.0)

    def update(self, places: Places, priorities: Values) -> None:
        if len(places) == 0:
            return
        if self._priority is not None:
            self._priority[places] = priorities
        highest = self._tree.assign_powers(places, priorities, self.epsilon, self.alpha)
        self.max_priority = max(self.max_priority, highest) if self._seen else highest
        self._seen = True

    def set_alpha(self, alpha: float) -> None:
        """From now on draw with another alpha, the items held as well. Looks at all of them where it differs."""
        if self._priority is None:
            raise ValueError("alpha is fixed: for one that changes make Proportional(changing_alpha=True)")
        if check_alpha(alpha, _ONE) == self.alpha:
            return
        self.alpha = float(alpha)
        held = np.flatnonzero(self._priority >= 0.0)
        self._tree.assign_powers(held, self._priority[held], self.epsilon, self.alpha)

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Places, Values]:
        if self._tree.total <= 0.0:
            raise ValueError("every priority is 0, so nothing can be drawn: use epsilon > 0")
        return self._tree.draw(strata(n, rng, self.stratified))

    def values(self, places: Places) -> Values:
        return self._tree.get(places)

    def min_probability(self) -> float:
        """Of the items that can be drawn; looks at all of them."""
        values = self._tree.values
        return float(values[values > 0.0].min() / self._tree.total)

    def state_dict(self) -> dict[str, Any]:
        state = {
            "values": self._tree.values.copy(),
            "max_priority": self.max_priority,
            "seen": self._seen,
            "count": self._count,
            "alpha": self.alpha,
        }
        return state if self._priority is None else state | {"priority": self._priority.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._tree.load_values(state["values"])
        self.alpha = state.get("alpha", self.alpha)  # absent from checkpoints of when it could not change
        if self._priority is not None:
            self._priority[:] = state["priority"]
        self.max_priority = state["max_priority"]
        self._seen = state["seen"]
        self._count = state["count"]
