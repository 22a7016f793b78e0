"""Numbering: the ids that a mixture gives to the items of its replays.

As in a `Replay` an id is generation * most + place, where the places that each replay may have come one after the
other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.checks import check_ids
from r2d2.replay.replay import Replay

Ints = NDArray[np.int64]


class Numbering:
    """Outer ids are those of the mixture, inner ids those of one of its `replays`."""

    def __init__(self, replays: Sequence[Replay]) -> None:
        self.replays = replays
        self.count()

    def count(self) -> None:
        """Count the places that the replays may have now."""
        self._most = [replay.items.most for replay in self.replays]
        self._first = np.cumsum([0, *self._most[:-1]])  # of their places

    def home(self, ids: Ints) -> Ints:
        """The number of the replay that has each of these items [K]."""
        return np.searchsorted(self._first, ids % sum(self._most), "right") - 1

    def places(self, ids: Ints) -> Ints:
        """A number for each of these ids [K]; no two items that are held have the same."""
        home = self.home(ids)
        return (ids % sum(self._most) - self._first[home]) * len(self.replays) + home

    def outer(self, j: int, ids: Ints) -> Ints:
        """What the mixture calls the items [K] of replay j."""
        generation, place = np.divmod(ids, self._most[j])
        return generation * sum(self._most) + self._first[j] + place

    def inner(self, ids: Ints) -> list[tuple[Replay, NDArray[np.bool_], Ints]]:
        """Each replay, which ids are its own, and what it calls them."""
        generation, place = np.divmod(ids, sum(self._most))
        home, parts = self.home(ids), []
        for j, replay in enumerate(self.replays):
            mine = home == j
            parts.append((replay, mine, generation[mine] * self._most[j] + place[mine] - self._first[j]))
        return parts

    def checked(self, ids: Any) -> Ints:
        """Ids [K] that were given out by the mixture, or a ValueError."""
        ids = check_ids("ids", ids)
        for replay, where, inner in self.inner(ids):
            unknown = replay.items.unknown(inner)
            if unknown >= 0:
                raise ValueError(f"id {int(ids[where][unknown])} was never given out by this replay")
        return ids
