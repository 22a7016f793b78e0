"""Storage: the steps of all streams, in blocks, until nothing refers to them any longer.

Each stream fills one block after the other. A block is kept while an item refers to it, or while the
stream's writer holds it because an item under construction may still need it (a reference count alone
would free rows that no finished item has claimed yet). `following` chains a stream's blocks, so an item is
its first slot and offset and a number of rows, wherever its stream has moved to since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from r2d2.blobs import Blobs, RowBlobs
from r2d2.replay.codecs import CompressedColumn, Job, RawColumn, make_store
from r2d2.types import Column

Ints = NDArray[np.int64]

_ARRAYS = ("refs", "following", "open_stream", "serial", "cursor", "held", "recent")


@njit(cache=True, nogil=True)
def _open(streams, block, cursor, held, recent, following, refs, open_stream, free, count):
    """Give every stream at a block boundary a free slot, chained behind its last block if that is held."""
    window = recent.shape[1]
    for stream in streams:
        if cursor[stream] % block:
            continue
        count -= 1
        slot = free[count]
        number = cursor[stream] // block
        if held[stream] < number:
            following[recent[stream, (number - 1) % window]] = slot
        recent[stream, number % window] = slot
        following[slot] = -1
        refs[slot] = 1
        open_stream[slot] = stream
    return count


@njit(cache=True, nogil=True)
def _unhold(streams, low_water, block, cursor, held, recent, refs, free, count):
    """Let the writers go of full blocks that lie wholly before the low-water rows."""
    window = recent.shape[1]
    for i in range(len(streams)):
        stream = streams[i]
        end = min(low_water[i], cursor[stream]) // block
        while held[stream] < end:
            slot = recent[stream, held[stream] % window]
            held[stream] += 1
            refs[slot] -= 1
            if refs[slot] == 0:
                free[count] = slot
                count += 1
    return count


@njit(cache=True, nogil=True)
def _count_refs(slots, offsets, rows, change, block, following, refs, free, count):
    """Add `change` to every block that the items cover; blocks nobody refers to join the free list."""
    for i in range(len(slots)):
        slot = slots[i]
        left = offsets[i] + rows[i]
        while left > 0:
            after = following[slot]
            refs[slot] += change
            if refs[slot] == 0:
                free[count] = slot
                count += 1
            left -= block
            slot = after
    return count


@njit(cache=True, nogil=True)
def _rows(slots, offsets, lefts, totals, width, block, following):
    """Row numbers [B, width]: `lefts` rows of left padding repeat the first row, the end repeats the last."""
    out = np.empty((len(slots), width), np.int64)
    for i in range(len(slots)):
        slot, offset = slots[i], offsets[i]
        for t in range(width):
            if 0 < t - lefts[i] < totals[i]:
                offset += 1
                if offset == block:
                    slot, offset = following[slot], 0
            out[i, t] = slot * block + offset
    return out


class Storage:
    """Blocks of preallocated columns with reference counts.

    `slots` blocks of `block` steps are shared by `streams` streams; `window` is the largest number of rows
    that a writer may hold back (the longest item plus a period).
    """

    def __init__(self, columns: Mapping[str, Column], *, streams: int, slots: int, block: int, window: int):
        self.columns = dict(columns)
        self.block = block
        self.slots = slots
        self.stores = {name: make_store(c, slots, block, streams) for name, c in columns.items()}
        self.refs = np.zeros(slots, np.int32)
        self.following = np.full(slots, -1, np.int32)
        self.open_stream = np.full(slots, -1, np.int32)  # which stream fills this slot; -1: full or free
        self.serial = np.full(slots, -1, np.int64)  # names the content of a slot for the whole run
        self.cursor = np.zeros(streams, np.int64)  # rows that each stream has written
        self.held = np.zeros(streams, np.int64)  # first block number that each writer still holds
        self.recent = np.zeros((streams, window // block + 3), np.int32)  # slots by block number, a ring
        self._free = np.arange(slots, dtype=np.int32)[::-1].copy()
        self._free_count = slots
        self._next_serial = 0

    @property
    def free_blocks(self) -> int:
        return self._free_count

    def blocks_needed(self, streams: Ints) -> int:
        """Free blocks that writing one row to each of these streams takes."""
        return int(np.count_nonzero(self.cursor[streams] % self.block == 0))

    def append(self, values: Mapping[str, NDArray], streams: Ints) -> Ints:
        """Write one row [K, ...] to each stream (all different); returns the stream rows [K] written."""
        offsets = self.cursor[streams] % self.block
        new = streams[offsets == 0]
        if len(new) > self._free_count:
            raise ValueError(f"storage has {self._free_count} free blocks but needs {len(new)}: remove items")
        if len(new):
            self._free_count = _open(
                new, self.block, self.cursor, self.held, self.recent, self.following,
                self.refs, self.open_stream, self._free, self._free_count,
            )  # fmt: skip
        rows = self.cursor[streams]
        slots = self.slot_of(streams, rows)
        if len(new):
            opened = slots[offsets == 0]
            self.serial[opened] = self._next_serial + np.arange(len(new))
            self._next_serial += len(new)
        for name, store in self.stores.items():
            store.write(slots, offsets, streams, values[name])
        self.cursor[streams] += 1
        full = offsets == self.block - 1
        if full.any():
            for store in self.stores.values():
                store.freeze(slots[full], streams[full])
            self.open_stream[slots[full]] = -1
        return rows

    def slot_of(self, streams: Ints, rows: Ints) -> Ints:
        """The slots that hold stream rows which the writers still hold."""
        return self.recent[streams, (rows // self.block) % self.recent.shape[1]].astype(np.int64)

    def unhold(self, streams: Ints, low_water: Ints) -> None:
        """Nothing under construction needs rows before `low_water` [K] of these streams."""
        start = self._free_count
        self._free_count = _unhold(
            streams, low_water, self.block, self.cursor, self.held, self.recent, self.refs, self._free, start
        )
        self._freed(start)

    def acquire(self, slots: Ints, offsets: Ints, rows: Ints) -> None:
        """Items now refer to `rows` [K] rows from (slot, offset) on."""
        _count_refs(slots, offsets, rows, 1, self.block, self.following, self.refs, self._free, 0)

    def release(self, slots: Ints, offsets: Ints, rows: Ints) -> None:
        """Items no longer refer to these rows."""
        start = self._free_count
        self._free_count = _count_refs(
            slots, offsets, rows, -1, self.block, self.following, self.refs, self._free, start
        )
        self._freed(start)

    def _freed(self, start: int) -> None:
        if self._free_count > start:
            slots = self._free[start : self._free_count].astype(np.int64)
            self.serial[slots] = -1
            for store in self.stores.values():
                store.free(slots)

    def read(
        self,
        columns: dict[str, NDArray],
        slots: Ints,
        offsets: Ints,
        lefts: Ints,
        totals: Ints,
        context: int,
        parts: int,
    ) -> list[Job]:
        """Put items' rows into `columns` [B, column context + T, ...]; `lefts` counts from the widest one.

        Returns jobs that finish it by decoding, see `ColumnStore.read`.
        """
        jobs: list[Job] = []
        width = max(out.shape[1] - self.columns[name].context for name, out in columns.items())
        rows = _rows(slots, offsets, lefts, totals, context + width, self.block, self.following)
        for name, out in columns.items():
            wanted = rows[:, context - self.columns[name].context :]
            jobs += self.stores[name].read(wanted, self.open_stream, out, parts)
        return jobs

    @property
    def nbytes(self) -> dict[str, int]:
        """Bytes by column, as allocated or compressed now."""
        return {name: store.nbytes for name, store in self.stores.items()}

    @property
    def _raw(self) -> list[NDArray]:
        return [store.data for _, store in sorted(self.stores.items()) if isinstance(store, RawColumn)]

    def state_dict(self) -> dict[str, Any]:
        """Everything. Full blocks are blobs, which a checkpoint writes only once; open ones are copied."""
        used = np.flatnonzero(self.refs > 0)
        full = used[self.open_stream[used] < 0]
        full = full[np.argsort(self.serial[full])]
        filling = used[self.open_stream[used] >= 0]
        keys = self.serial[full]
        compressed = {
            name: {
                "full": Blobs(keys, [store.frozen[slot] for slot in full.tolist()]),
                "filling": store.filling.copy(),
            }
            for name, store in self.stores.items()
            if isinstance(store, CompressedColumn)
        }
        return {
            **{name: getattr(self, name).copy() for name in _ARRAYS},
            "free": self._free[: self._free_count].copy(),
            "next_serial": self._next_serial,
            "full": full,
            "filling": filling,
            "compressed": compressed,
            "raw": {
                "full": Blobs(keys, RowBlobs(self._raw, full)),
                "filling": [data[filling] for data in self._raw],
            },
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in _ARRAYS:
            getattr(self, name)[:] = state[name]
        self._free_count = len(state["free"])
        self._free[: self._free_count] = state["free"]
        self._next_serial = state["next_serial"]
        full, filling = state["full"], state["filling"]
        for data, saved in zip(self._raw, state["raw"]["filling"], strict=True):
            data[filling] = saved
        RowBlobs(self._raw, full).load(state["raw"]["full"].data)
        for name, store in self.stores.items():
            if isinstance(store, CompressedColumn):
                blocks = state["compressed"][name]
                store.filling[:] = blocks["filling"]
                store.load(full, blocks["full"].data)
