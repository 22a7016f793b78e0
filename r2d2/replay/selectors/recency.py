"""Recency: the newer an item, the likelier it is drawn; for tasks that change."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.checks import check_count, check_number
from r2d2.replay.rows import extended
from r2d2.replay.saved import Saved
from r2d2.replay.selectors.sum_tree import SumTree

Ints = NDArray[np.int64]
Values = NDArray[np.float64]

LARGEST = 600.0  # exponent; ours: e^600 = 4e260, so that the sum over any number of items is finite


class Recency:
    """P(i) = exp(-decay * age(i)) / sum, where age counts the items inserted after it, held or not.

    An item's value does not change as it ages: exp(decay * (its number - base)), and the base moves on before
    that overflows, every 600 / decay insertions, when all values are recomputed from the numbers. Nothing
    accumulates, so the formula holds after any number of insertions. Items more than about 700 / decay
    older than the newest one held have a value of 0: they are never drawn, and would not be in any life.
    """

    def __init__(self, capacity: int, *, decay: float) -> None:
        self.capacity = check_count("capacity", capacity)
        self.decay = check_number("decay", decay, 0.0, says="0 is uniform")
        self._tree = SumTree(capacity)
        self._number = np.full(capacity, -1, np.int64)  # place -> which insertion it was; -1: no item
        self._inserted = 0
        self._base = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        return self._tree.nbytes + self._number.nbytes

    def grow(self, capacity: int) -> None:
        self._tree.grow(capacity)
        self._number = extended(self._number, capacity, -1)
        self.capacity = capacity

    def insert(self, places: Ints, streams: Ints) -> None:
        if len(places) == 0:
            return
        self._number[places] = np.arange(self._inserted, self._inserted + len(places))
        self._inserted += len(places)
        self._count += len(places)
        if self.decay * (self._inserted - 1 - self._base) > LARGEST:
            self._rebase(self._inserted - 1)
        else:
            self._assign(places)

    def remove(self, places: Ints) -> None:
        self._number[places] = -1
        self._tree.assign(places, np.zeros(len(places)))
        self._count -= len(places)

    def update(self, places: Ints, priorities: Values) -> None:
        """Priorities do not matter here."""

    def _rebase(self, base: int) -> None:
        self._base = base
        self._assign(np.arange(len(self._number)))

    def _assign(self, places: Ints) -> None:
        numbers = self._number[places]
        values = np.exp(self.decay * (numbers - self._base).astype(np.float64))
        self._tree.assign(places, np.where(numbers < 0, 0.0, values))

    def check(self, n: int) -> None:
        """Any number can be drawn."""

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Ints, Values]:
        newest = int(self._number.max()) if self.total < math.exp(-LARGEST) else self._base
        if newest < self._base:  # the newer items are all gone, and the others nearly vanished
            self._rebase(newest)
        places = self._tree.find(rng.random(n) * self.total)
        return places, self._tree.get(places) / self.total

    def values(self, places: Ints) -> Values:
        return self._tree.get(places)

    @property
    def total(self) -> float:
        return self._tree.total

    def state_dict(self) -> dict[str, Any]:
        return {"number": self._number.copy(), "inserted": self._inserted, "base": self._base}

    def check_state(self, saved: Saved) -> None:
        inserted = saved.count("inserted")
        saved.array("number", np.int64, (self.capacity,), low=-1, high=inserted - 1)
        saved.count("base", most=inserted)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.check_state(Saved(state, "selector"))
        self._number[:] = state["number"]
        self._inserted = state["inserted"]
        self._count = int(np.count_nonzero(self._number >= 0))
        self._rebase(state["base"])
