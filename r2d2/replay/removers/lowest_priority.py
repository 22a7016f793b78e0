"""LowestPriority: the item that is drawn least goes first."""

from __future__ import annotations

from typing import Any

import numpy as np

from r2d2.replay.removers.remover import NONE, Places
from r2d2.replay.saved import Saved
from r2d2.replay.selectors.selector import Selector


class LowestPriority:
    """Removes the items of the lowest `selector.values`, the oldest first among equals.

    `selector` is the replay's own. Newcomers are always accepted: nothing is known of their priority yet. A
    removal looks at the value of every item once: O(items), a millisecond for a few hundred thousand.
    """

    def __init__(self, selector: Selector) -> None:
        self.selector = selector
        self._held = NONE  # places, oldest first

    @property
    def nbytes(self) -> int:
        return self._held.nbytes

    def offer(self, n: int, free: int) -> tuple[None, Places]:
        return None, self.pop(n - free)

    def grow(self, capacity: int) -> None:
        """There is room for any number of places."""

    def insert(self, places: Places) -> None:
        self._held = np.concatenate([self._held, places])

    def pop(self, n: int) -> Places:
        n = min(n, len(self._held))
        if n <= 0:
            return NONE
        values = self.selector.values(self._held)
        bound = np.partition(values, n - 1)[n - 1]
        leaves = values < bound
        leaves[np.flatnonzero(values == bound)[: n - int(leaves.sum())]] = True
        leaving = self._held[leaves]
        self._held = self._held[~leaves]
        return leaving

    def updated(self, count: int) -> Places:
        return NONE

    def state_dict(self) -> dict[str, Any]:
        return {"held": self._held.copy()}

    def check_state(self, saved: Saved, items: Places | None = None) -> None:
        saved.held("held", items)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.check_state(Saved(state, "remover"))
        self._held = state["held"].copy()
