"""Storage: the steps of all streams, in blocks, until nothing refers to them any longer.

Each stream fills one block after the other. A block is kept while an item refers to it, or while the
stream's writer holds it because an item under construction may still need it (a reference count alone
would free rows that no finished item has claimed yet). `following` chains a stream's blocks, so an item is
its first slot and offset and a number of rows, wherever its stream has moved to since.

In this library, a *slot* is where a block is stored, a *place* where an item is (an index into the item table), a
*piece* a run of one item's rows within one block, and a *record* the small columns of one row, side by side.

Where a column is compressed, an episode begins in a block of its own, `lead` rows from its start: chosen so
that most items are whole blocks and a few rows more, which decode straight into a batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay import storage_state
from r2d2.replay.compressed import CompressedColumn, Job
from r2d2.replay.draw import BatchArrays, arrays_of, new_arrays
from r2d2.replay.kernels import blocks as kernels
from r2d2.replay.kernels import cutting
from r2d2.replay.readings import Reading, Readings
from r2d2.replay.rows import RowArrays, last_rows
from r2d2.replay.saved import Saved
from r2d2.replay.sequencer import Sequencer
from r2d2.types import Batch, Column

Ints = NDArray[np.int64]


class Storage:
    """Blocks of preallocated columns with reference counts.

    `slots` blocks of `block` steps are shared by `streams` streams, and `reserve` more, which are there for new
    blocks while free ones are still copied from; `window` is the largest number of rows
    that a writer may hold back (the longest item plus a period). With `folder`, steps are kept in files there
    instead of in memory.
    """

    def __init__(
        self,
        columns: Mapping[str, Column],
        *,
        streams: int,
        slots: int,
        block: int,
        window: int,
        lead: int = 0,
        reserve: int = 0,
        folder: Path | None = None,
    ) -> None:
        self.columns = dict(columns)
        self._process = None if folder is None else os.getpid()
        self.block = block
        self.reserve = reserve
        self.slots = slots = slots + reserve
        raw = {name: column for name, column in columns.items() if column.codec == "raw"}
        self.raw = RowArrays(raw, slots * block, streams, folder)
        self.compressed = {
            name: CompressedColumn(column, slots, block, streams, folder)
            for name, column in columns.items()
            if name not in raw
        }
        self.aligned = bool(self.compressed)
        self.lead = lead % block if self.aligned else 0
        self.blocks = kernels.Blocks(
            refs=np.zeros(slots, np.int32),
            following=np.full(slots, -1, np.int32),
            open_stream=np.full(slots, -1, np.int32),
            serial=np.full(slots, -1, np.int64),
            filled=np.zeros(slots, np.int16),
            cursor=np.full(streams, self.lead, np.int64),
            held=np.zeros(streams, np.int64),
            closed=np.ones(streams, np.bool_),
            began=np.zeros(streams, np.int64),
            recent=np.zeros((streams, window // block + 3), np.int32),
            free=np.arange(slots, dtype=np.int32)[::-1].copy(),
            counters=np.array([slots, 0, 0], np.int64),
            pinned=np.zeros(slots, np.int32),
        )
        self.plain = tuple(self.blocks)  # as the kernels take them
        self.readings = Readings(self.blocks.pinned, block)

    def check_process(self) -> None:
        """Raise RuntimeError in a forked child whose parent still writes to the same files."""
        if self._process is not None and self._process != os.getpid():
            raise RuntimeError(
                "a replay with a folder works in the process that made it alone: a forked child shares its files, "
                "so make the replay in the child, or keep it in memory (folder=None)"
            )

    @property
    def free_blocks(self) -> int:
        """Free slots beyond the reserve."""
        return self.free_slots - self.reserve

    @property
    def free_slots(self) -> int:
        return int(self.blocks.counters[kernels.FREE])

    @property
    def rows(self) -> int:
        """Rows of all blocks that are held."""
        return int(self.blocks.counters[kernels.ROWS])

    def blocks_needed(self, streams: Ints) -> int:
        """Free blocks that writing one row to each of these streams takes."""
        return int(np.count_nonzero(self.blocks.closed[streams]))

    def write(self, values: Mapping[str, NDArray], streams: Ints, at: Ints, full: NDArray[np.bool_]) -> None:
        """Store one row [K, ...] of each stream where `kernels.append` said; blocks that are full are encoded."""
        self.raw.write(at, values)
        self.write_compressed(values, streams, at, full)

    def write_compressed(
        self, values: Mapping[str, NDArray], streams: Ints, at: Ints, full: NDArray[np.bool_]
    ) -> None:
        """`write` of the compressed columns."""
        if self.compressed:
            offsets = at % self.block
            for name, column in self.compressed.items():
                column.write(streams, offsets, values[name])
            if full.any():
                slots, streams = at[full] // self.block, streams[full]
                began, filled = self.blocks.began[streams], self.blocks.filled[slots].astype(np.int64)
                for column in self.compressed.values():
                    column.freeze(slots, streams, began, filled)

    def append(
        self,
        values: Mapping[str, NDArray],
        streams: Ints,
        last: NDArray[np.bool_],
        core: NDArray[np.float32],
        sequencer: Sequencer,
        opened: int,
        out: NDArray,
    ) -> NDArray:
        """Store one row of each stream, which opens `opened` blocks; returns the items that this completes, a part
        of `out` (`NEW_ITEM`). They refer to their steps already."""
        at, full = np.empty(len(streams), np.int64), np.empty(len(streams), np.bool_)
        before = self.free_slots
        layout = (self.block, self.lead, self.aligned, self.plain)
        count = cutting.step(streams, last, core, *layout, *sequencer.plain, at, full, out)
        self.write(values, streams, at, full)
        self.freed(before - opened)
        return out[:count]

    def finish(
        self, values: Mapping[str, NDArray], streams: Ints, at: Ints, full: NDArray[np.bool_], kept: int
    ) -> None:
        """What a compiled write of a row of each stream has left: large and compressed columns, and the compressed
        blocks in slots that it opened or, beyond the first `kept` free ones, freed."""
        self.raw.write_large(at, values)
        if self.compressed:
            slots, offsets = np.divmod(at, self.block)
            self.forget(slots[offsets == self.blocks.began[streams]])
            self.write_compressed(values, streams, at, full)
            self.freed(kept)

    def newest(self, streams: Ints) -> Ints:
        """Where the last row of each stream is, within a running episode: slot * block + offset."""
        row = self.blocks.cursor[streams] - 1
        slot = self.blocks.recent[streams, row // self.block % self.blocks.recent.shape[1]].astype(np.int64)
        return slot * self.block + row % self.block

    def incref(self, new: NDArray) -> None:
        """Let items (`NEW_ITEM`) refer to their steps."""
        kernels.incref(new, self.block, self.blocks)

    def decref(self, new: NDArray) -> None:
        """Undo `incref`: these items (`NEW_ITEM`) refer to their steps no longer."""
        before = self.free_slots
        kernels.decref_items(new, self.block, self.blocks)
        self.freed(before)

    def freed(self, before: int) -> None:
        """Forget the compressed blocks of the slots that became free since there were `before` free ones."""
        if self.compressed and self.free_slots > before:
            self.forget(self.blocks.free[before : self.free_slots])

    def forget(self, slots: NDArray[np.integer]) -> None:
        """These slots' compressed blocks are needed no longer."""
        for column in self.compressed.values():
            column.free(slots)

    def allocate(
        self, names: Iterable[str], shape: tuple[int, ...], context: int, *, whole: bool = False
    ) -> BatchArrays:
        """Arrays for items of `shape` [B, context + T]; if `whole`, for rows of which no column skips any."""
        columns = {name: self.columns[name] for name in names}
        if whole:
            columns = {name: replace(column, skipped=0) for name, column in columns.items()}
        return new_arrays(self.raw, columns, shape, context)

    def room(self, shape: tuple[int, ...], context: int, out: Batch | None) -> BatchArrays:
        """Arrays for all columns: those of `out`, to be filled again, or new ones."""
        if out is None:
            return self.allocate(self.columns, shape, context)
        return arrays_of(out, self.raw, self.columns, shape, context)

    def read(self, rows: Ints, into: BatchArrays) -> list[Job]:
        """Read stored rows [B, context + T] (slot * block + offset), of each column as many of the last ones as
        there is room for. Returns jobs that finish it by decoding."""
        self.check_process()
        self.raw.read(rows, into.columns, into.records)
        return self.read_compressed(rows, into.columns)

    def read_rest(self, rows: Ints, into: BatchArrays) -> tuple[list[Job], Reading | None]:
        """Jobs for the columns that are not in the records. They may run whatever is written meanwhile, until the
        reading is over, if there is one."""
        copies = self.raw.copies(rows, into.columns)
        reading = self.readings.add(rows) if copies else None
        return copies + self.read_compressed(rows, into.columns), reading

    def room_to_open(self, blocks: int) -> None:
        """Wait until so many free slots are copied from no longer."""
        self.readings.release()
        while len(self.readings) and not kernels.room_to_open(blocks, self.blocks):
            self.readings.wait()

    def read_compressed(self, rows: Ints, columns: Mapping[str, NDArray]) -> list[Job]:
        """`read` of the compressed columns."""
        jobs: list[Job] = []
        for name, column in self.compressed.items():
            if name in columns:
                wanted = last_rows(rows, columns[name])
                jobs += column.read(wanted, self.blocks.open_stream, self.blocks.filled, columns[name])
        return jobs

    @property
    def nbytes(self) -> dict[str, int]:
        """Bytes by column, as allocated or compressed now."""
        return self.raw.nbytes | {name: column.nbytes for name, column in self.compressed.items()}

    @property
    def row_nbytes(self) -> dict[str, float]:
        """Bytes of one row by column; for a compressed one the mean of the full blocks held now, 0 without any."""
        full = (self.blocks.refs > 0) & (self.blocks.open_stream < 0)
        rows = max(1, int(self.blocks.filled[full].sum(dtype=np.int64)))
        return {
            name: self.compressed[name].encoded_nbytes / rows if name in self.compressed else column.row_bytes
            for name, column in self.columns.items()
        }

    @property
    def index_nbytes(self) -> int:
        """Bytes of everything that says where rows are."""
        return sum(array.nbytes for array in self.blocks)

    def state_dict(self) -> dict[str, Any]:
        """Everything. Full blocks are blobs, which a checkpoint writes only once; open ones are copied."""
        self.check_process()
        return storage_state.state_of(self)

    def check_state(self, saved: Saved) -> None:
        """Raise ValueError if this is not the state of a storage like this one."""
        storage_state.check_state(self, saved)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.check_process()
        storage_state.load_state(self, state)
