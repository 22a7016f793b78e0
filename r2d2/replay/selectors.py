"""Selectors answer which items are replayed next.

A selector sees item slots (small integers that the replay hands out and takes back), never steps. Draws
are with replacement. `sample` returns slots [n] and the probability with which each was drawn, from which
the replay computes importance weights.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.sum_tree import SumTree

Slots = NDArray[np.int64]
Values = NDArray[np.float64]


class Selector(Protocol):
    """What a replay asks of a selector. All calls take arrays."""

    def insert(self, slots: Slots) -> None:
        """New items, at the highest priority seen so far where priorities count."""

    def remove(self, slots: Slots) -> None:
        """Items that the replay gave up."""

    def update(self, slots: Slots, priorities: Values) -> None:
        """New priorities (finite, >= 0; the replay has checked them)."""

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Slots, Values]:
        """n slots and their probabilities."""

    def values(self, slots: Slots) -> Values:
        """The unnormalised probability of each slot [K]."""

    def __len__(self) -> int: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    @property
    def nbytes(self) -> int: ...


class Uniform:
    """Every item with the same probability."""

    def __init__(self, capacity: int) -> None:
        self._slots = np.empty(capacity, np.int64)  # the live slots, dense
        self._place = np.full(capacity, -1, np.int64)  # slot -> its place in _slots
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        return self._slots.nbytes + self._place.nbytes

    def insert(self, slots: Slots) -> None:
        end = self._count + len(slots)
        self._slots[self._count : end] = slots
        self._place[slots] = np.arange(self._count, end)
        self._count = end

    def remove(self, slots: Slots) -> None:
        """Fill each hole with the last live slot: O(1) per item and no order to keep."""
        kept = self._count - len(slots)
        holes = self._place[slots]
        self._place[slots] = -1
        tail = self._slots[kept : self._count]
        movers = tail[self._place[tail] >= 0]
        holes = holes[holes < kept]
        self._slots[holes] = movers
        self._place[movers] = holes
        self._count = kept

    def update(self, slots: Slots, priorities: Values) -> None:
        """Priorities do not matter here."""

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Slots, Values]:
        slots = self._slots[rng.integers(self._count, size=n)]
        return slots, np.full(n, 1.0 / self._count)

    def values(self, slots: Slots) -> Values:
        return np.ones(len(slots))

    def state_dict(self) -> dict[str, Any]:
        return {"slots": self._slots[: self._count].copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._count = 0
        self._place[:] = -1
        self.insert(state["slots"])


class Proportional:
    """P(i) = (p_i + epsilon)^alpha / sum, the proportional variant of Schaul et al. (2016), section 3.3.

    `epsilon` keeps an item whose error is exactly 0 alive; 0 turns that off. `stratified` draws one item
    from each of n equal ranges of the total (their appendix B.2.1), which lowers the variance of a batch.
    """

    def __init__(
        self, capacity: int, *, alpha: float = 0.9, epsilon: float = 1e-6, stratified: bool = True
    ) -> None:
        if not 0.0 <= alpha <= 1.0:
            raise ValueError(f"alpha must be in [0, 1] (0 is uniform, 1 fully proportional), got {alpha}")
        if epsilon < 0.0:
            raise ValueError(f"epsilon must be >= 0, got {epsilon}")
        self.alpha = alpha
        self.epsilon = epsilon
        self.stratified = stratified
        self.max_priority = 1.0  # of all updates so far; what a new item starts with
        self._tree = SumTree(capacity)
        self._seen = False
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        return self._tree.nbytes

    def insert(self, slots: Slots) -> None:
        self._count += len(slots)
        self._assign(slots, np.full(len(slots), self.max_priority))

    def remove(self, slots: Slots) -> None:
        self._count -= len(slots)
        self._tree.assign(slots, np.zeros(len(slots)))

    def update(self, slots: Slots, priorities: Values) -> None:
        if len(slots) == 0:
            return
        highest = float(priorities.max())
        self.max_priority = max(self.max_priority, highest) if self._seen else highest
        self._seen = True
        self._assign(slots, priorities)

    def _assign(self, slots: Slots, priorities: Values) -> None:
        self._tree.assign(slots, (priorities + self.epsilon) ** self.alpha)

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Slots, Values]:
        total = self._tree.total
        if total <= 0.0:
            raise ValueError("every priority is 0, so nothing can be drawn: use epsilon > 0")
        u = rng.random(n)
        targets = (np.arange(n) + u) / n if self.stratified else u
        slots = self._tree.find(targets * total)
        return slots, self._tree.get(slots) / total

    def values(self, slots: Slots) -> Values:
        return self._tree.get(slots)

    def state_dict(self) -> dict[str, Any]:
        return {
            "values": self._tree.values.copy(),
            "max_priority": self.max_priority,
            "seen": self._seen,
            "count": self._count,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._tree.load_values(state["values"])
        self.max_priority = state["max_priority"]
        self._seen = state["seen"]
        self._count = state["count"]
