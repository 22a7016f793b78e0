"""How one column keeps its blocks: as they are, or compressed once they are full.

Forty consecutive Atari frames compressed as one block shrink 25 to 190 times, single frames only 8 to 13
times: the block is the unit of compression. The block that a stream is still filling stays raw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import cramjam
import numpy as np
from numba import njit
from numpy.typing import NDArray

from r2d2.types import Column

Ints = NDArray[np.int64]


Job = Callable[[], None]


class ColumnStore(Protocol):
    """What storage asks of a column. Slots name blocks; rows are slot * block + offset."""

    def write(self, slots: Ints, offsets: Ints, streams: Ints, values: NDArray) -> None:
        """Store values [K, ...] at (slot, offset); each stream fills one block at a time."""

    def freeze(self, slots: Ints, streams: Ints) -> None:
        """The streams' blocks are full: nothing will be written to them again."""

    def free(self, slots: Ints) -> None:
        """Nothing refers to these blocks any longer."""

    def read(self, rows: Ints, open_stream: NDArray[np.int32], out: NDArray, parts: int) -> list[Job]:
        """Put the values at rows [B, T] into `out` [B, T, ...].

        `open_stream` [slots] is -1 where a block is full. What can be copied is copied at once; decoding is
        left to the returned jobs (about `parts` of equal work), which may run in any thread and at any time:
        they hold on to the bytes they need, whatever is written or freed meanwhile.
        """

    @property
    def nbytes(self) -> int: ...


class RawColumn:
    """One preallocated array [slots, block, ...]; pages that were never written take no memory."""

    def __init__(self, column: Column, slots: int, block: int) -> None:
        self.data = np.zeros((slots, block, *column.shape), column.dtype)
        self._rows = self.data.reshape(slots * block, *column.shape)

    def write(self, slots: Ints, offsets: Ints, streams: Ints, values: NDArray) -> None:
        self.data[slots, offsets] = values

    def freeze(self, slots: Ints, streams: Ints) -> None:
        """Nothing to do: a raw block is final as it stands."""

    def free(self, slots: Ints) -> None:
        """Nothing to do: the slot is overwritten by its next block."""

    def read(self, rows: Ints, open_stream: NDArray[np.int32], out: NDArray, parts: int) -> list[Job]:
        self._rows.take(rows, axis=0, out=out, mode="clip")  # numpy buffers the output in any other mode
        return []

    @property
    def nbytes(self) -> int:
        return self.data.nbytes


@njit(cache=True, nogil=True)
def _segments(rows, block):
    """Cut rows [B, T] where the block changes: columns are batch index, first t, end t, slot, first offset,
    and whether the offsets follow each other (only padding repeats one)."""
    found = np.empty((rows.size, 6), np.int64)
    count = 0
    for b in range(rows.shape[0]):
        start = 0
        for t in range(1, rows.shape[1] + 1):
            slot = rows[b, start] // block
            if t < rows.shape[1] and rows[b, t] // block == slot:
                continue
            first = rows[b, start] - slot * block
            in_order = rows[b, t - 1] - rows[b, start] == t - 1 - start
            for k in range(start + 1, t):
                in_order &= rows[b, k] == rows[b, k - 1] + 1
            found[count, 0], found[count, 1], found[count, 2] = b, start, t
            found[count, 3], found[count, 4], found[count, 5] = slot, first, in_order
            count += 1
            start = t
    return found[:count]


def _lz4_decode(data: Any, out: NDArray) -> None:
    cramjam.lz4.decompress_block_into(data, out)


def _lz4_encode(data: NDArray) -> bytes:
    return bytes(cramjam.lz4.compress_block(data, store_size=False))


def _zstd_encode(data: NDArray) -> bytes:
    return bytes(cramjam.zstd.compress(data, level=1))


def _zstd_decode(data: Any, out: NDArray) -> None:
    cramjam.zstd.decompress_into(data, out)


_CODECS: dict[str, tuple[Callable[[NDArray], bytes], Callable[[Any, NDArray], None]]] = {
    "lz4": (_lz4_encode, _lz4_decode),
    "zstd": (_zstd_encode, _zstd_decode),
}


class CompressedColumn:
    """Full blocks as bytes, one raw block for each stream that is still being filled."""

    def __init__(self, column: Column, slots: int, block: int, streams: int) -> None:
        self._encode, self._decode = _CODECS[column.codec]
        self._block = block
        self._shape = column.shape
        self.filling = np.zeros((streams, block, *column.shape), column.dtype)
        self.frozen: list[bytes | memoryview | None] = [None] * slots
        self._bytes = 0

    def write(self, slots: Ints, offsets: Ints, streams: Ints, values: NDArray) -> None:
        self.filling[streams, offsets] = values

    def freeze(self, slots: Ints, streams: Ints) -> None:
        for slot, stream in zip(slots.tolist(), streams.tolist(), strict=True):
            data = self._encode(self.filling[stream].reshape(-1).view(np.uint8))
            self.frozen[slot] = data
            self._bytes += len(data)

    def free(self, slots: Ints) -> None:
        for slot in slots.tolist():
            data = self.frozen[slot]
            if data is not None:
                self._bytes -= len(data)
                self.frozen[slot] = None

    def read(self, rows: Ints, open_stream: NDArray[np.int32], out: NDArray, parts: int) -> list[Job]:
        work: list[tuple[Any, int, int, int, Any, bool]] = []
        for b, start, end, slot, first, in_order in _segments(rows, self._block).tolist():
            data = self.frozen[slot]
            whole = bool(in_order) and end - start == self._block
            offsets = (
                slice(first, first + end - start) if in_order else rows[b, start:end] - slot * self._block
            )
            if data is None:  # still being filled: copied now, since the stream will write over it
                out[b, start:end] = self.filling[open_stream[slot]][offsets]
            else:
                work.append((data, b, start, end, offsets, whole))
        size = max(1, -(-len(work) // parts))
        return [partial(self._decode_into, out, work[i : i + size]) for i in range(0, len(work), size)]

    def _decode_into(self, out: NDArray, work: list[tuple[Any, int, int, int, Any, bool]]) -> None:
        """Decode whole blocks in place, the others into a scratch block from which their rows are copied."""
        as_bytes = out.reshape(out.shape[0], out.shape[1], -1).view(np.uint8)
        scratch = np.empty((self._block, *self._shape), self.filling.dtype)
        scratch_bytes = scratch.reshape(-1).view(np.uint8)
        for data, b, start, end, offsets, whole in work:
            if whole:
                self._decode(data, as_bytes[b, start:end].reshape(-1))
            else:
                self._decode(data, scratch_bytes)
                out[b, start:end] = scratch[offsets]

    def load(self, slots: Ints, data: Sequence[bytes]) -> None:
        """Hold exactly these full blocks, as they were taken from `frozen`."""
        self.frozen = [None] * len(self.frozen)  # a block left from before would be read for an open one
        self._bytes = 0
        for slot, block in zip(slots.tolist(), data, strict=True):
            self.frozen[slot] = block
            self._bytes += len(block)

    @property
    def nbytes(self) -> int:
        return self._bytes + self.filling.nbytes


def make_store(column: Column, slots: int, block: int, streams: int) -> RawColumn | CompressedColumn:
    """The store that the column's codec asks for."""
    if column.codec == "raw":
        return RawColumn(column, slots, block)
    return CompressedColumn(column, slots, block, streams)
