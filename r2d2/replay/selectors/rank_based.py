"""RankBased: the item of rank r is drawn with probability r^-alpha / sum (Schaul et al. 2016, section 3.3).

Ranks count from 1, the highest priority. Outliers weigh no more than their rank, so nothing needs clipping.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.checks import HIGHEST, check_alpha, check_count, check_number
from r2d2.replay.draw import strata
from r2d2.replay.rows import extended
from r2d2.replay.saved import Saved

Ints = NDArray[np.int64]
Values = NDArray[np.float64]


class RankBased:
    """P(i) = rank(i)^-alpha / sum over ranks, with alpha 0.7 as in the paper's table 3.

    Items are sorted again once more than `refresh` changes (insertions, updates, removals) for each item have
    come: 0 sorts before every draw that follows a change; with 0.01 (ours; the paper sorts once in 1e6 steps)
    N items are sorted once in N / 100 changes. Between sorts an updated item keeps its rank, a new one gets
    rank 1, and a removed one's rank goes to the item that was last. The probabilities that `sample` returns
    are always those of the ranks used for the draw. Sorting is stable among equal priorities.

    `stratified` draws one item from each of n ranges of equal probability mass (their appendix B.2.1, which
    then draws uniformly within a range; here the mass within it counts as well, so P(i) holds exactly).
    """

    def __init__(
        self, capacity: int, *, alpha: float = 0.7, stratified: bool = True, refresh: float = 0.01
    ) -> None:
        self.capacity = check_count("capacity", capacity)
        self.refresh = check_number("refresh", refresh, 0.0, 1.0, "changes an item, 0 is every draw")
        self.stratified = stratified
        self.max_priority = 1.0  # of all updates so far; what a new item starts with
        self._seen = False
        self._priority = np.zeros(capacity)
        # The last rank first, so that a new item at rank 1 is appended and no item has to move. Removals
        # move `_start` up, so the live part [start, end) wanders and is moved back when it hits the wall.
        self._order = np.empty(2 * capacity, np.int64)
        self._at = np.full(capacity, -1, np.int64)  # place -> its index in _order
        self._start = self._end = 0
        self._changes = 0  # since the last sort
        self._mass = np.empty(capacity)  # of ranks 1..r
        self._raise(alpha)

    def __len__(self) -> int:
        return self._end - self._start

    @property
    def nbytes(self) -> int:
        return self._priority.nbytes + self._order.nbytes + self._at.nbytes + self._mass.nbytes

    def grow(self, capacity: int) -> None:
        self._priority = extended(self._priority, capacity, 0.0)
        self._order = extended(self._order, 2 * capacity, 0)
        self._at = extended(self._at, capacity, -1)
        self._mass = np.empty(capacity)
        self._raise(self.alpha)
        self.capacity = capacity

    def insert(self, places: Ints, streams: Ints) -> None:
        if self._end + len(places) > len(self._order):
            self._set_order(self._order[self._start : self._end].copy())
        new = np.arange(self._end, self._end + len(places))
        self._order[new] = places
        self._at[places] = new
        self._end += len(places)
        self._priority[places] = self.max_priority
        self._changes += len(places)

    def remove(self, places: Ints) -> None:
        order, at = self._order, self._at
        for place in places.tolist():
            last = order[self._start]
            order[at[place]] = last
            at[last] = at[place]
            at[place] = -1
            self._start += 1
        self._changes += len(places)

    def update(self, places: Ints, priorities: Values) -> None:
        if len(places) == 0:
            return
        highest = float(priorities.max())
        self.max_priority = max(self.max_priority, highest) if self._seen else highest
        self._seen = True
        self._priority[places] = priorities
        self._changes += len(places)

    def set_alpha(self, alpha: float) -> None:
        """From now on draw with another alpha; no rank changes. Takes a pass over `capacity` where it differs."""
        if alpha != self.alpha:
            self._raise(alpha)

    def _raise(self, alpha: float) -> None:
        self.alpha = check_alpha(alpha, "is 1 / rank")
        np.cumsum(np.arange(1, len(self._mass) + 1) ** -self.alpha, out=self._mass)

    def check(self, n: int) -> None:
        """Any number can be drawn."""

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Ints, Values]:
        if self._changes > self.refresh * len(self):
            self._sort()
        targets = strata(n, rng, self.stratified) * self.total
        ranks = np.searchsorted(self._mass[: len(self)], targets, "right")
        ranks = np.minimum(ranks, len(self) - 1) + 1  # rounding can leave a target at the total
        return self._order[self._end - ranks], ranks.astype(np.float64) ** -self.alpha / self.total

    def _sort(self) -> None:
        order = self._order[self._start : self._end]
        self._set_order(order[np.argsort(self._priority[order], kind="stable")])
        self._changes = 0

    def _set_order(self, order: Ints) -> None:
        self._start, self._end = 0, len(order)
        self._order[: self._end] = order
        self._at[order] = np.arange(self._end)

    def values(self, places: Ints) -> Values:
        """rank^-alpha of each item [K], by the ranks as they stand; 0 where there is no item."""
        at = self._at[places]
        ranks = np.where(at < 0, 1, self._end - at)
        return np.where(at < 0, 0.0, ranks**-self.alpha)

    @property
    def total(self) -> float:
        return float(self._mass[len(self) - 1]) if len(self) else 0.0

    def min_probability(self) -> float:
        """That of the last rank."""
        return float(len(self) ** -self.alpha / self.total)

    def state_dict(self) -> dict[str, Any]:
        return {
            "order": self._order[self._start : self._end].copy(),
            "priority": self._priority.copy(),
            "max_priority": self.max_priority,
            "seen": self._seen,
            "changes": self._changes,
            "alpha": self.alpha,
        }

    def check_state(self, saved: Saved) -> None:
        saved.places("order", self.capacity)
        saved.array("priority", np.float64, (self.capacity,), low=0.0, high=HIGHEST)
        saved.number("max_priority", 0.0, HIGHEST)
        saved.flag("seen")
        saved.count("changes")
        if "alpha" in saved:
            saved.number("alpha", 0.0, 1.0)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.check_state(Saved(state, "selector"))
        self._at[:] = -1
        self._set_order(state["order"])
        self._priority[:] = state["priority"]
        self.max_priority = state["max_priority"]
        self._seen = state["seen"]
        self._changes = state["changes"]
        self.set_alpha(state.get("alpha", self.alpha))  # absent from checkpoints of when it could not change
