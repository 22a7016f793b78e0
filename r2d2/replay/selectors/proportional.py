"""Proportional: items are drawn in proportion to a power of their priority."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.checks import HIGHEST, check_alpha, check_count
from r2d2.replay.draw import strata
from r2d2.replay.rows import extended
from r2d2.replay.saved import Saved
from r2d2.replay.selectors.selector import Places, Values
from r2d2.replay.selectors.sum_tree import SumTree

_ONE = "fully proportional"
_LARGEST = 1e300  # value in a state; ours: the sum of any number of true ones is far below


class Proportional:
    """P(i) = (p_i + epsilon)^alpha / sum, the proportional variant of Schaul et al. (2016), section 3.3.

    `epsilon` keeps an item whose error is exactly 0 alive; 0 turns that off. `stratified` draws one item
    from each of n equal ranges of the total (their appendix B.2.1), which lowers the variance of a batch.

    The tree holds powers. With `changing_alpha` the priorities are kept beside them (8 bytes an item), so that
    `set_alpha` can compute all powers again: the power 0 does not tell which priority it came from, and powers
    of powers would drift.
    """

    def __init__(
        self,
        capacity: int,
        *,
        alpha: float = 0.9,
        epsilon: float = 1e-6,
        stratified: bool = True,
        changing_alpha: bool = False,
    ) -> None:
        self.capacity = check_count("capacity", capacity)
        if not 0.0 <= epsilon <= HIGHEST:
            raise ValueError(f"epsilon must be >= 0, got {epsilon}")
        self.alpha, self.epsilon = check_alpha(alpha, _ONE), float(epsilon)
        self.stratified = stratified
        self.max_priority = 1.0  # of all updates so far; what a new item starts with
        self._tree = SumTree(capacity)
        self._priority = np.full(capacity, -1.0) if changing_alpha else None  # -1: no item
        self._seen = False
        self._held = np.zeros(1, np.int64)  # the number of items

    def __len__(self) -> int:
        return int(self._held[0])

    @property
    def changing_alpha(self) -> bool:
        return self._priority is not None

    @property
    def arrays(self) -> dict[str, NDArray]:
        """As `kernels.held` calls them."""
        return {"tree": self._tree.tree, "leaves": self._tree.leaves, "count": self._held}

    @property
    def first_value(self) -> float:
        """What the tree holds for a new item."""
        value: float = (self.max_priority + self.epsilon) ** self.alpha
        return value

    @property
    def nbytes(self) -> int:
        return self._tree.nbytes + (0 if self._priority is None else self._priority.nbytes)

    def grow(self, capacity: int) -> None:
        self._tree.grow(capacity)
        if self._priority is not None:
            self._priority = extended(self._priority, capacity, -1.0)
        self.capacity = capacity

    def insert(self, places: Places, streams: Places) -> None:
        self._held[0] += len(places)
        if self._priority is not None:
            self._priority[places] = self.max_priority
        self._tree.fill(places, self.first_value)

    def remove(self, places: Places) -> None:
        self._held[0] -= len(places)
        if self._priority is not None:
            self._priority[places] = -1.0
        self._tree.fill(places, 0.0)

    def update(self, places: Places, priorities: Values) -> None:
        if len(places) == 0:
            return
        if self._priority is not None:
            self._priority[places] = priorities
        self.note(self._tree.assign_powers(places, priorities, self.epsilon, self.alpha))

    def note(self, highest: float) -> None:
        """The highest priority of an update."""
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

    def check(self, n: int) -> None:
        if self._tree.total <= 0.0:
            raise ValueError("every priority is 0, so nothing can be drawn: use epsilon > 0")

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Places, Values]:
        self.check(n)
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
            "count": len(self),
            "alpha": self.alpha,
        }
        return state if self._priority is None else state | {"priority": self._priority.copy()}

    def check_state(self, saved: Saved) -> None:
        saved.array("values", np.float64, (self.capacity,), low=0.0, high=_LARGEST)
        saved.number("max_priority", 0.0, HIGHEST)
        saved.flag("seen")
        saved.count("count", most=self.capacity)
        if "alpha" in saved:
            saved.number("alpha", 0.0, 1.0)
        if self._priority is not None:
            saved.array("priority", np.float64, (self.capacity,), low=-1.0, high=HIGHEST)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.check_state(Saved(state, "selector"))
        self._tree.load_values(state["values"])
        self.alpha = state.get("alpha", self.alpha)  # absent from checkpoints of when it could not change
        if self._priority is not None:
            self._priority[:] = state["priority"]
        self.max_priority = state["max_priority"]
        self._seen = state["seen"]
        self._held[0] = state["count"]
