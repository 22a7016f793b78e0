"""Selectors answer which items are replayed next.

A selector sees the items' places (small integers that the replay hands out and takes back), never steps.
Draws are with replacement. `sample` returns places [n] and the probability with which each was drawn, from
which the replay computes importance weights.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.saved import Saved

Places = NDArray[np.int64]
Values = NDArray[np.float64]


class Selector(Protocol):
    """The interface of a selector. All calls take arrays, which the replay has checked.

    `capacity`, where a selector has it, is the number of places that it has room for.
    """

    def grow(self, capacity: int) -> None:
        """Have room for `capacity` places; the items stay where they are. Called by a replay that grows."""

    def insert(self, places: Places, streams: Places) -> None:
        """Add items, oldest first, from these streams [K]. Where priorities count, they get the highest so far."""

    def remove(self, places: Places) -> None:
        """Forget these items."""

    def update(self, places: Places, priorities: Values) -> None:
        """Set the priorities of these items; all are finite and >= 0."""

    def check(self, n: int) -> None:
        """Raise ValueError if n items cannot be drawn now."""

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Places, Values]:
        """Draw n places; returns them and their probabilities."""

    def values(self, places: Places) -> Values:
        """The unnormalized probability of each place [K]."""

    def __len__(self) -> int: ...

    def state_dict(self) -> dict[str, Any]: ...

    def check_state(self, saved: Saved) -> None:
        """Raise ValueError if this is not the state of a selector like this one."""

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    @property
    def nbytes(self) -> int: ...
