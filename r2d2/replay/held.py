"""Held: which items and steps a replay keeps. Table, selector and remover learn together what comes and leaves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.frame import Frame
from r2d2.replay.items import ItemTable
from r2d2.replay.removers.remover import Remover
from r2d2.replay.selectors.selector import Selector
from r2d2.replay.sequencer import Sequencer
from r2d2.replay.storage import Storage

Ints = NDArray[np.int64]


class Held:
    """The items of a table, whose steps are in `storage`: at most `most_rows` rows of them. `frame` is for the
    compiled calls, which know some selectors and removers; these methods take any."""

    def __init__(
        self,
        items: ItemTable,
        storage: Storage,
        sequencer: Sequencer,
        selector: Selector,
        remover: Remover,
        most_rows: int,
    ) -> None:
        self.items, self.storage, self.selector, self.remover = items, storage, selector, remover
        self.most_rows = most_rows
        self.frame = Frame(storage, sequencer, items, selector, remover, most_rows)

    def make_room(self, streams: Ints) -> int:
        """Remove items until the next rows of these streams have their blocks and the steps kept are few enough;
        returns how many blocks they open."""
        storage = self.storage
        opened = storage.blocks_needed(streams)
        while True:
            blocks = opened - storage.free_blocks
            over = storage.rows + len(streams) - self.most_rows
            if blocks <= 0 and over <= 0:
                return opened
            if len(self.items) == 0:
                if blocks <= 0:
                    return opened
                raise RuntimeError("the replay has no free block and no item to remove: raise `steps`")
            self.remove(self.remover.pop(max(blocks, -(-over // storage.block))))

    def insert(
        self, new: NDArray, pending: NDArray[np.float32], goals: NDArray[np.float32] | None = None
    ) -> Ints:
        """Take in items (`NEW_ITEM`), which refer to their steps already, with their recurrent states in
        `pending`; copies have `goals` [K, G]. Returns the ids of those that the remover accepts."""
        if len(new) > self.items.free and self.storage.rows < self.most_rows:
            self.make_place(len(new))
        accepted, leaving = self.remover.offer(len(new), self.items.free)
        self.remove(leaving)
        taken = new
        if accepted is not None:
            self.storage.decref(new[~accepted])
            taken = new[accepted]
            goals = None if goals is None else goals[accepted]
        places, ids = self.items.insert(taken, pending, goals)
        self.selector.insert(places, taken["stream"])
        self.remover.insert(places)
        if self.items.linked and goals is None:
            chain = np.full(len(new), -1)
            chain[slice(None) if accepted is None else accepted] = ids
            self.items.link(new, chain)
        return ids

    def make_place(self, new: int) -> None:
        """Grow for so many new items, and as many more as there are."""
        self.grow(max(2 * self.items.capacity, self.items.capacity + new))

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` items, at most the maximum."""
        capacity = min(capacity, self.items.most)
        if capacity > self.items.capacity:
            for part in (self.selector, self.remover, self.items):
                part.grow(capacity)
            self.frame.refresh()

    def remove(self, places: Ints) -> None:
        """Remove the items in these places, which the remover has already dropped."""
        if len(places):
            self.items.remove(places, self.storage)
            self.selector.remove(places)

    @property
    def nbytes(self) -> int:
        """See `Replay.nbytes`."""
        return self._index_nbytes + self.items.core.nbytes + sum(self.storage.nbytes.values())

    @property
    def _index_nbytes(self) -> int:
        parts = (self.items, self.selector, self.remover)
        return sum(part.nbytes for part in parts) + self.storage.index_nbytes

    @property
    def step_nbytes(self) -> dict[str, float]:
        """See `Replay.step_nbytes`."""
        state = len(self.items) * self.items.core.shape[1] * 4 / max(1, self.storage.rows)
        share = self._index_nbytes / self.most_rows  # allocated for all the steps that there will be
        return self.storage.row_nbytes | {"core state": state, "index": share}
