"""Removers answer which items leave when room is needed."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.saved import Saved

Places = NDArray[np.int64]


class Remover(Protocol):
    """The interface of a remover. All calls take arrays, which the replay has checked.

    `capacity`, where a remover has it, is the number of places that it has room for; `selector`, where it has
    it, must be the replay's.
    """

    def offer(self, n: int, free: int) -> tuple[NDArray[np.bool_] | None, Places]:
        """Offer n new items, in order, where `free` places are free. Returns which of them [n] are accepted (None
        is all of them), and the places of the items that leave for them."""

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` places. Called by a replay that grows."""

    def insert(self, places: Places) -> None:
        """Add the accepted items, in order, by their places."""

    def pop(self, n: int) -> Places:
        """Forget up to n items and return their places; the replay removes them everywhere else."""

    def updated(self, count: int) -> Places:
        """The priorities of `count` items were updated; returns the places of items that leave now."""

    def state_dict(self) -> dict[str, Any]: ...

    def check_state(self, saved: Saved, items: Places | None = None) -> None:
        """Raise ValueError if this is not the state of a remover like this one, with the items in these places if
        they are given."""

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    @property
    def nbytes(self) -> int: ...


NONE: Places = np.empty(0, np.int64)
