"""Storage: the steps of all streams, in blocks, until nothing refers to them any longer.

Each stream fills one block after the other. A block is kept while an item refers to it, or while the
stream's writer holds it because an item under construction may still need it (a reference count alone
would free rows that no finished item has claimed yet). `following` chains a stream's blocks, so an item is
its first slot and offset and a number of rows, wherever its stream has moved to since.

Where a column is compressed, an episode begins in a block of its own, `lead` rows from its start: chosen so
that most items are whole blocks and a few rows more, which decode straight into a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.checkpoint.blobs import Blobs, RowBlobs
from r2d2.replay.codecs import CompressedColumn, Job
from r2d2.replay.kernels import index as kernels
from r2d2.replay.rows import RowArrays
from r2d2.replay.sequencer import Sequencer
from r2d2.types import Batch, Column

Ints = NDArray[np.int64]

MOST = 2**15 - 1  # rows of a block: counted in 16 bits
_SLOTS = ("refs", "following", "open_stream", "serial", "count")
_STREAMS = ("cursor", "held", "closed", "began", "recent")


class Storage:
    """Blocks of preallocated columns with reference counts.

    `slots` blocks of `block` steps are shared by `streams` streams; `window` is the largest number of rows
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
        folder: Path | None = None,
    ) -> None:
        if not 1 <= block <= MOST:
            raise ValueError(f"block must be in [1, {MOST}] steps, got {block}")
        self.columns = dict(columns)
        self.block = block
        self.slots = slots
        raw = {name: column for name, column in columns.items() if column.codec == "raw"}
        self.raw = RowArrays(raw, slots * block, folder)
        self.compressed = {
            name: CompressedColumn(column, slots, block, streams, folder)
            for name, column in columns.items()
            if name not in raw
        }
        self.aligned = bool(self.compressed)
        self.lead = lead % block if self.aligned else 0
        self.refs = np.zeros(slots, np.int32)
        self.following = np.full(slots, -1, np.int32)
        self.open_stream = np.full(slots, -1, np.int32)  # which stream fills this slot; -1: full or free
        self.serial = np.full(slots, -1, np.int64)  # names the content of a slot for the whole run
        self.count = np.zeros(slots, np.int16)  # rows of the slot that are used, from its start
        self.cursor = np.full(streams, self.lead, np.int64)  # the row that each stream writes next
        self.held = np.zeros(streams, np.int64)  # first block number that each writer still holds
        self.closed = np.ones(streams, np.bool_)  # the next row opens a block
        self.began = np.zeros(streams, np.int64)  # first used row of the block that each stream fills
        self.recent = np.zeros((streams, window // block + 3), np.int32)  # slots by block number, a ring
        self._free = np.arange(slots, dtype=np.int32)[::-1].copy()
        self._counters = np.array([slots, 0, 0], np.int64)
        # As `r2d2.replay.kernels.index` takes them.
        self.arrays = (*(getattr(self, name) for name in (*_SLOTS, *_STREAMS)), self._free, self._counters)

    @property
    def free_blocks(self) -> int:
        return int(self._counters[kernels.FREE])

    @property
    def rows(self) -> int:
        """Rows of all blocks that are held."""
        return int(self._counters[kernels.ROWS])

    def blocks_needed(self, streams: Ints) -> int:
        """Free blocks that writing one row to each of these streams takes."""
        return int(np.count_nonzero(self.closed[streams]))

    def write(self, values: Mapping[str, NDArray], streams: Ints, at: Ints, full: NDArray[np.bool_]) -> None:
        """Store one row [K, ...] of each stream where `kernels.append` said; blocks that are full are encoded."""
        self.raw.write(at, values)
        if self.compressed:
            offsets = at % self.block
            for name, column in self.compressed.items():
                column.write(streams, offsets, values[name])
            if full.any():
                slots, streams = at[full] // self.block, streams[full]
                for column in self.compressed.values():
                    column.freeze(slots, streams, self.began[streams], self.count[slots].astype(np.int64))

    def append(
        self, values: Mapping[str, NDArray], streams: Ints, last: NDArray[np.bool_], core: NDArray[np.float32],
        sequencer: Sequencer, opened: int, out: Ints,
    ) -> Ints:  # fmt: skip
        """Store one row of each stream, which opens so many blocks; returns the items that it completes, as
        `kernels.step` puts them into `out`. They refer to their steps already."""
        at, full = np.empty(len(streams), np.int64), np.empty(len(streams), np.bool_)
        before = self.free_blocks
        count = kernels.step(
            streams, last, core, self.block, self.lead, self.aligned, self.arrays, sequencer.sizes,
            sequencer.arrays, at, full, out,
        )  # fmt: skip
        self.write(values, streams, at, full)
        self.freed(before - opened)
        return out[:count]

    def abandon(self, items: Ints) -> None:
        """Let go of the steps of items (rows of `append`'s answer) that were not taken in."""
        before = self.free_blocks
        kernels.abandon(items, self.block, self.arrays)
        self.freed(before)

    def freed(self, before: int) -> None:
        """Forget the compressed blocks of the slots that became free since there were `before` free ones."""
        if self.compressed and self.free_blocks > before:
            slots = self._free[before : self.free_blocks].astype(np.int64)
            for column in self.compressed.values():
                column.free(slots)

    def allocate(
        self, names: Iterable[str], shape: tuple[int, ...], context: int
    ) -> tuple[dict[str, NDArray], NDArray]:
        """Columns for items of `shape` [B, context + T], as `read` fills them, and the records behind the small
        ones."""
        records = np.empty(shape, self.raw.record)
        views = self.raw.views(records, context)
        columns = {}
        for name in names:
            column = self.columns[name]
            wanted = (shape[0], shape[1] - context + column.context, *column.shape)
            columns[name] = views[name] if name in views else np.empty(wanted, column.dtype)
        return columns, records

    def room(
        self, names: Iterable[str], shape: tuple[int, ...], context: int, out: Batch | None
    ) -> tuple[dict[str, NDArray], NDArray]:
        """Those of `out` to be filled again, or what `allocate` makes where that is None."""
        if out is None:
            return self.allocate(names, shape, context)
        if out.records is None or out.records.shape != shape or out.columns.keys() != set(names):
            raise ValueError(f"out must be a batch of {shape[0]} items that this replay drew before")
        return dict(out.columns), out.records

    def read(self, rows: Ints, context: int, columns: Mapping[str, NDArray], records: NDArray) -> list[Job]:
        """Put stored rows [B, context + T] (slot * block + offset) into `columns` [B, column context + T, ...],
        which `allocate` made. Returns jobs that finish it by decoding.
        """
        self.raw.read(rows, context, columns, records)
        jobs: list[Job] = []
        for name, column in self.compressed.items():
            if name in columns:
                wanted = rows[:, context - self.columns[name].context :]
                jobs += column.read(wanted, self.open_stream, self.count, columns[name])
        return jobs

    @property
    def nbytes(self) -> dict[str, int]:
        """Bytes by column, as allocated or compressed now."""
        return self.raw.nbytes | {name: column.nbytes for name, column in self.compressed.items()}

    @property
    def row_nbytes(self) -> dict[str, float]:
        """Bytes of one row by column; for a compressed one the mean of the full blocks held now, 0 without any."""
        full = (self.refs > 0) & (self.open_stream < 0)
        rows = max(1, int(self.count[full].sum(dtype=np.int64)))
        return {
            name: self.compressed[name].encoded_nbytes / rows if name in self.compressed else column.row_bytes
            for name, column in self.columns.items()
        }

    @property
    def index_nbytes(self) -> int:
        """Bytes of everything that says where rows are."""
        names = (*_SLOTS, *_STREAMS)
        return sum(getattr(self, name).nbytes for name in names) + self._free.nbytes

    def _blocks(self) -> list[NDArray]:
        return [array.reshape(self.slots, -1) for array in self.raw.arrays]  # [slots, bytes]

    def state_dict(self) -> dict[str, Any]:
        """Everything. Full blocks are blobs, which a checkpoint writes only once; open ones are copied."""
        used = np.flatnonzero(self.refs > 0)
        full = used[self.open_stream[used] < 0]
        full = full[np.argsort(self.serial[full])]
        filling = used[self.open_stream[used] >= 0]
        keys = self.serial[full]
        blocks = self._blocks()
        return {
            **{name: getattr(self, name)[used].copy() for name in _SLOTS},
            **{name: getattr(self, name).copy() for name in _STREAMS},
            "used": used,
            "free": self._free[: self.free_blocks].copy(),
            "counters": self._counters.copy(),
            "compressed": {
                name: {"full": Blobs(keys, column.blocks(full)), "filling": column.filling()}
                for name, column in self.compressed.items()
            },
            "raw": {
                "full": Blobs(keys, RowBlobs(blocks, full)),
                "filling": [array[filling] for array in blocks],
            },
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        used = state["used"]
        for name in _SLOTS:
            getattr(self, name)[:] = 0 if name in ("refs", "count") else -1
            getattr(self, name)[used] = state[name]
        for name in _STREAMS:
            getattr(self, name)[:] = state[name]
        self._counters[:] = state["counters"]
        self._free[: self.free_blocks] = state["free"]
        full = used[self.open_stream[used] < 0]
        full = full[np.argsort(self.serial[full])]
        filling = used[self.open_stream[used] >= 0]
        blocks = self._blocks()
        for array, saved in zip(blocks, state["raw"]["filling"], strict=True):
            array[filling] = saved
        RowBlobs(blocks, full).load(state["raw"]["full"].data)
        for name, column in self.compressed.items():
            saved = state["compressed"][name]
            column.load(saved["filling"], full, saved["full"].data)
