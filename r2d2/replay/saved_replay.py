"""SavedReplay: the replay in a checkpoint, read on demand.

The index of all items is in memory; their steps and recurrent states stay on disk until an item is opened. So a
replay of gigabytes can be inspected within seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.checkpoint.blobs import Blobs
from r2d2.checkpoint.segments import OnDemand
from r2d2.replay import storage_state
from r2d2.replay.replay import Replay
from r2d2.replay.saved import Saved
from r2d2.types import Batch, as_previous, begins_episode

Ints = NDArray[np.int64]

CHUNK = 4096  # items, or blocks, that are looked at together; ours


class SavedReplay:
    """Reads the items of a saved replay. `replay` must be empty and built as the saved one was.

    `state` is that of a `Replay` from `checkpoint.load_part(..., lazy=True)`. Without it `replay` is complete.
    """

    def __init__(self, replay: Replay, state: Mapping[str, Any] | None) -> None:
        self.replay = replay
        self._full = np.empty(0, np.int64)  # slots, by blob
        self._blob = np.full(replay.storage.slots, -1, np.int64)  # of each full slot that was not read yet
        self._core: Blobs | None = None
        if state is not None:
            self._open(replay, state)
        self._core_read = np.zeros(replay.capacity, np.bool_)
        self._before = _chain_backwards(replay.storage.blocks.following)

    def _open(self, replay: Replay, state: Mapping[str, Any]) -> None:
        replay.fit(Saved(state, "replay"))
        storage_state.load_index(replay.storage, state["storage"])
        replay.items.load_table(state["items"])
        replay.selector.load_state_dict(state["selector"])
        self._core, self._order = state["items"]["core"], state["items"]["order"]
        self._raw = state["storage"]["raw"]["full"]
        self._compressed = {name: column["full"] for name, column in state["storage"]["compressed"].items()}
        self._full, _ = storage_state.full_and_filling(replay.storage, state["storage"]["used"])
        self._blob[self._full] = np.arange(len(self._full))

    @property
    def places(self) -> Ints:
        """Where items are, in no order that matters."""
        return self.replay.items.places

    def get(self, ids: Ints) -> Batch:
        """Items by id, as `Replay.get` reads them."""
        places = self.replay.held_places(ids)
        self._read_blocks(self._windows(places))
        self._read_cores(places)
        return self.replay.get(ids)

    def lengths(self, places: Ints) -> Ints:
        """Trained steps of these items [K]."""
        return self.replay.items.table["length"][places].astype(np.int64)

    def returns(self, places: Ints) -> NDArray[np.float64]:
        """The undiscounted sum of the rewards of each item's trained steps [K]; all rewards are read once."""
        rewards, found = self._column("reward"), np.zeros(len(places))
        layout, block = self.replay.sequencer, self.replay.storage.block
        for start in range(0, len(places), CHUNK):
            chosen = places[start : start + CHUNK]
            rows = self._windows(chosen)[:, layout.context + layout.burn_in :][:, : layout.unroll]
            values = rewards[rows // block, rows % block]
            trained = np.arange(values.shape[1]) < self.lengths(chosen)[:, None]
            found[start : start + CHUNK] = np.where(trained, values, 0.0).sum(1)
        return found

    def episode_before(self, place: int, most: int) -> Ints:
        """Up to `most` stored rows of the item's episode that come before its first one, oldest first.

        They end where the episode begins, or where a row is no longer held.
        """
        table = self.replay.items.table
        first = self._windows(np.array([place]))[0]
        layout = self.replay.sequencer
        at = int(first[layout.context + layout.burn_in - int(table["burn_in"][place])])
        rows: list[int] = []
        while len(rows) < most:
            if begins_episode(self._value("previous_action", at)):
                break
            before = self._row_before(at)
            if before is None:
                break
            rows.append(before)
            at = before
        return np.array(rows[::-1], np.int64)

    def read_rows(self, rows: Ints, names: list[str]) -> dict[str, NDArray]:
        """Columns of consecutive stored rows [T] of one episode, batch-major [1, column context + T, ...]; context
        before the first row repeats it."""
        storage, context = self.replay.storage, self.replay.sequencer.context
        wanted = np.concatenate([np.repeat(rows[:1], context), rows])[None]
        self._read_blocks(wanted)
        arrays = storage.allocate(names, wanted.shape, context, whole=True)
        for job in storage.read(wanted, arrays):
            job()
        return {name: arrays.columns[name] for name in names}

    def item_rows(self, place: int) -> Ints:
        """The stored rows of an item from its first burn-in row to its last one, without padding."""
        layout, table = self.replay.sequencer, self.replay.items.table
        rows = self._windows(np.array([place]))[0][layout.context :]
        begin = layout.burn_in - int(table["burn_in"][place])
        return rows[begin : layout.burn_in + int(table["length"][place]) + int(table["lookahead"][place])]

    def _row_before(self, row: int) -> int | None:
        """The row of the same episode before this one, if it is held.

        The chain of blocks leads forwards and is left as it was when a block is freed, so where it crosses into
        another block the action and the reward must be those that the later row says were before it.
        """
        block = self.replay.storage.block
        if row % block:
            return row - 1
        slot = int(self._before[row // block])
        if slot < 0 or self.replay.storage.blocks.filled[slot] < block:
            return None
        before = slot * block + block - 1
        acted = as_previous(self._value("action", before)) == self._value("previous_action", row)
        rewarded = self._value("reward", before) == self._value("previous_reward", row)
        return before if acted.all() and rewarded.all() else None

    def _value(self, name: str, row: int) -> NDArray:
        """A column at one row, [1, ...]."""
        self._read_blocks(np.array([row]))
        return self.replay.storage.raw.column(name)[row : row + 1]

    def _windows(self, places: Ints) -> Ints:
        """Stored rows [K, context + T] of items."""
        return self.replay.items.windows(places, self.replay.storage, self.replay.sequencer).rows

    def _read_blocks(self, rows: Ints) -> None:
        slots = np.unique(rows // self.replay.storage.block)
        slots = slots[self._blob[slots] >= 0]
        if len(slots):
            at = self._blob[slots]
            compressed = {name: _take(blobs, at) for name, blobs in self._compressed.items()}
            storage_state.put_full(self.replay.storage, slots, _take(self._raw, at), compressed)
            self._blob[slots] = -1

    def _read_cores(self, places: Ints) -> None:
        if not isinstance(self._core, Blobs):
            return  # states that may be refreshed are no blobs
        missing = np.unique(places[~self._core_read[places]])
        at = np.searchsorted(self._core.keys, self.replay.items.ids(missing))
        for place, blob in zip(missing.tolist(), _take(self._core, at), strict=True):
            self.replay.items.core[place] = np.frombuffer(blob, np.float32)
        self._core_read[missing] = True

    def _column(self, name: str) -> NDArray:
        """A small column of all rows [slots, block]; of full blocks nothing else is kept."""
        storage = self.replay.storage
        values = storage.raw.column(name).reshape(storage.slots, storage.block).copy()
        record = storage.raw.record
        for start in range(0, len(self._full), CHUNK):
            blobs = _take(self._raw, np.arange(start, min(start + CHUNK, len(self._full))))
            tails = b"".join(blob[-storage.block * record.itemsize :] for blob in blobs)
            rows = np.frombuffer(tails, record).reshape(len(blobs), storage.block)
            values[self._full[start : start + CHUNK]] = rows[name]
        return values


def _take(blobs: Blobs, at: Ints) -> list[Any]:
    """The blobs at these positions."""
    if isinstance(blobs.data, OnDemand):
        return blobs.data.take(at)
    return [blobs.data[i] for i in at.tolist()]


def _chain_backwards(following: NDArray[np.int32]) -> Ints:
    """For each slot the one whose block it follows; -1 where there is none."""
    before = np.full(len(following), -1, np.int64)
    linked = np.flatnonzero(following >= 0)
    before[following[linked]] = linked
    return before
