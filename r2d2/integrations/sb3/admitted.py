"""Admitted: a selector that draws only from admitted items."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay import Selector
from r2d2.replay.rows import extended
from r2d2.replay.saved import Saved

Ints = NDArray[np.int64]


class Admitted:
    """Applies `rest` to the items that `admit` has admitted; a new item waits, and gets its priority on admission.

    For hindsight, which draws transitions of finished episodes only.
    """

    def __init__(self, rest: Selector, capacity: int) -> None:
        self.rest = rest
        self._inside = np.zeros(capacity, np.bool_)

    def __len__(self) -> int:
        return len(self.rest)

    @property
    def nbytes(self) -> int:
        return self.rest.nbytes + self._inside.nbytes

    def grow(self, capacity: int) -> None:
        self.rest.grow(capacity)
        self._inside = extended(self._inside, capacity, False)

    def insert(self, places: Ints, streams: Ints) -> None:
        """New items wait for `admit`."""

    def admit(self, places: Ints) -> None:
        """Admit these items [K], none of which may be admitted already."""
        self._inside[places] = True
        self.rest.insert(places, np.zeros_like(places))

    def remove(self, places: Ints) -> None:
        """Removes admitted and waiting items, each only once."""
        inside = places[self._inside[places]]
        self._inside[inside] = False
        self.rest.remove(inside)

    def update(self, places: Ints, priorities: NDArray[np.float64]) -> None:
        inside = self._inside[places]
        self.rest.update(places[inside], priorities[inside])

    def check(self, n: int) -> None:
        """Raise ValueError if n items cannot be drawn now."""
        self.rest.check(n)

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Ints, NDArray[np.float64]]:
        return self.rest.sample(n, rng)

    def values(self, places: Ints) -> NDArray[np.float64]:
        return np.where(self._inside[places], self.rest.values(places), 0.0)

    def state_dict(self) -> dict[str, Any]:
        return {"rest": self.rest.state_dict(), "inside": self._inside.copy()}

    def check_state(self, saved: Saved) -> None:
        """Raise ValueError if this is not the state of a selector like this one."""
        self.rest.check_state(saved.part("rest"))
        saved.array("inside", np.bool_, self._inside.shape)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.check_state(Saved(state, "selector"))
        self.rest.load_state_dict(state["rest"])
        self._inside[:] = state["inside"]
