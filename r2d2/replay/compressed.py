"""The columns that are kept as compressed blocks.

The block that a stream is still filling stays raw. A full one is encoded in the background; a reader waits until
that is done.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2d2.replay import workers
from r2d2.replay.codecs import CODECS, Bytes
from r2d2.replay.kernels import reading
from r2d2.replay.saved import Saved
from r2d2.types import Column

Ints = NDArray[np.int64]
Job = Callable[[], None]


class Piece(NamedTuple):
    """See `kernels.reading.PIECE`."""

    item: int
    start: int
    begin: int
    stop: int
    end: int
    slot: int
    offset: int
    filled: int


SLOT = Piece._fields.index("slot")


class _Encoding:
    """A block among those that one job encodes."""

    def __init__(self, job: Future[list[bytes]], index: int) -> None:
        self.job, self._index = job, index

    def result(self) -> bytes:
        return self.job.result()[self._index]


class BlockFile:
    """A scratch file with room for one encoded block a slot. Most of the room is never used, and then takes none
    on the disk; the file has no name and goes with the process."""

    def __init__(self, folder: Path, block_bytes: int) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        self._room = block_bytes + block_bytes // 128 + 4096  # above what either codec makes of noise

    def put(self, slot: int, data: Bytes) -> bool:
        """Write a block; False, and nothing is kept, if the disk has no room for it."""
        try:
            return os.pwrite(self._file.fileno(), data, slot * self._room) == len(data)
        except OSError:
            return False

    def get(self, slot: int, size: int) -> bytes:
        return os.pread(self._file.fileno(), size, slot * self._room)


class CompressedColumn:
    """Full blocks as bytes; two raw blocks for each stream, one being filled, one perhaps being encoded.

    With `folder` the bytes are in a file there, but for blocks for which the disk has no room.
    """

    def __init__(
        self, column: Column, slots: int, block: int, streams: int, folder: Path | None = None
    ) -> None:
        self._codec = CODECS[column.codec]
        self._block = block
        self._column = column
        self._filling = np.zeros((streams, 2, block, *column.shape), column.dtype)
        self._rows = self._filling.reshape(-1, *column.shape)
        self._side = np.zeros(streams, np.int64)  # which of its two blocks a stream fills
        self._last: list[_Encoding | None] = [None] * streams  # reads the side that is not filled
        self._frozen: list[Bytes | int | _Encoding | None] = [None] * slots  # a number: that many in the file
        self._file = None if folder is None else BlockFile(folder, block * column.row_bytes)
        self._encoding: list[tuple[int, _Encoding]] = []
        self._bytes = 0

    def write(self, streams: Ints, offsets: Ints, values: NDArray) -> None:
        """Store values [K, ...] at these offsets of the blocks that the streams [K] are filling."""
        self._rows[(2 * streams + self._side[streams]) * self._block + offsets] = values

    def freeze(self, slots: Ints, streams: Ints, first: Ints, count: Ints) -> None:
        """The streams' blocks are full, rows [first, count) of each: encode them in the background."""
        self._collect(wait=False)
        for stream in streams.tolist():
            last = self._last[stream]
            if last is not None:
                last.job.result()  # the stream continues in the buffer that this block was encoded from
        size = -(-len(slots) // workers.count())
        for at in range(0, len(slots), size):
            part = slice(at, at + size)
            where = np.stack([streams[part], self._side[streams[part]], first[part], count[part]], 1)
            job = workers.submit(partial(self._encode, where.tolist()))
            pairs = zip(slots[part].tolist(), streams[part].tolist(), strict=True)
            for i, (slot, stream) in enumerate(pairs):
                self._last[stream] = encoding = _Encoding(job, i)
                self._frozen[slot] = encoding
                self._encoding.append((slot, encoding))
        self._side[streams] ^= 1

    def _encode(self, where: list[list[int]]) -> list[bytes]:
        encoded = []
        for stream, side, first, count in where:
            rows = self._filling[stream, side, :count]
            rows[:first] = rows[first]  # never read: whatever is smallest
            encoded.append(self._codec.encode(rows.reshape(-1).view(np.uint8)))
        return encoded

    def _collect(self, *, wait: bool) -> None:
        """Take over what has been encoded, or all of it."""
        left = []
        for slot, encoding in self._encoding:
            if self._frozen[slot] is not encoding:
                continue  # freed in the meantime
            if wait or encoding.job.done():
                self._keep(slot, encoding.result())
            else:
                left.append((slot, encoding))
        self._encoding = left

    def _keep(self, slot: int, data: Bytes) -> None:
        on_disk = self._file is not None and self._file.put(slot, data)
        self._frozen[slot] = len(data) if on_disk else data
        self._bytes += len(data)

    def _data(self, slot: int) -> Bytes | _Encoding | None:
        """What a slot holds; None if its block is still being filled."""
        data = self._frozen[slot]
        if isinstance(data, int):
            assert self._file is not None
            return self._file.get(slot, data)
        return data

    def free(self, slots: NDArray[np.integer]) -> None:
        """Nothing refers to these blocks any longer."""
        for slot in slots.tolist():
            data = self._frozen[slot]
            if data is not None and not isinstance(data, _Encoding):
                self._bytes -= data if isinstance(data, int) else len(data)
            self._frozen[slot] = None

    def read(
        self, rows: Ints, open_stream: NDArray[np.int32], filled: NDArray[np.int16], out: NDArray
    ) -> list[Job]:
        """Put the values at rows [B, T] (slot * block + offset) into `out` [B, T, ...].

        `open_stream` [slots] is -1 where a block is full, `filled` [slots] the rows in it. What can be copied
        is copied at once; decoding is left to the returned jobs, about one of equal work for each thread,
        which may run at any time: they hold on to the bytes they need, whatever is written or freed meanwhile.
        """
        work = []
        for piece in reading.pieces(rows, self._block, filled).tolist():
            slot = piece[SLOT]
            data = self._data(slot)
            if data is None:  # still being filled: copied now, since the stream will write over it
                stream = open_stream[slot]
                _place(out, Piece._make(piece), self._filling[stream, self._side[stream]])
            else:
                work.append((data, piece))
        size = max(1, -(-len(work) // workers.count()))
        return [partial(self._decode, out, work[i : i + size]) for i in range(0, len(work), size)]

    def _decode(self, out: NDArray, work: list[tuple[Any, tuple[int, ...]]]) -> None:
        """Decode in place where a block's other rows fall on padding; else into a scratch block."""
        length, width = out.shape[1], self._column.row_bytes
        in_place = memoryview(
            out.reshape(-1).view(np.uint8)
        )  # a part of it is made faster than that of an array
        scratch = np.empty((self._block, *self._column.shape), self._column.dtype)
        scratch_bytes = memoryview(scratch.reshape(-1).view(np.uint8))
        codec = self._codec
        for data, piece in work:
            item, start, begin, stop, end, _, offset, filled = piece
            if isinstance(data, _Encoding):
                data = data.result()
            decode, size = codec.begin, offset + stop - begin
            if size > codec.worth * filled:
                decode, size = codec.decode, filled
            first = begin - offset
            if start <= first and first + size <= end:
                at = (item * length + first) * width
                decode(data, in_place[at : at + size * width])
                if start < begin or stop < end:
                    _pad(out, Piece._make(piece))
            else:
                decode(data, scratch_bytes[: size * width])
                _place(out, Piece._make(piece), scratch)

    @property
    def encoded_nbytes(self) -> int:
        """Bytes of the full blocks, in memory or in the file."""
        self._collect(wait=True)
        return self._bytes

    @property
    def nbytes(self) -> int:
        return self.encoded_nbytes + self._filling.nbytes

    def blocks(self, slots: Ints) -> list[Bytes]:
        """The encoded bytes of full blocks."""
        self._collect(wait=True)
        return [self._data(slot) for slot in slots.tolist()]  # type: ignore[misc]

    def filling(self) -> NDArray:
        """The blocks being filled [streams, block, ...], as a copy."""
        return self._filling[np.arange(len(self._side)), self._side]

    def check_state(self, saved: Saved, rows: Ints) -> None:
        """Raise ValueError if this is not the state of a column like this one; full blocks have `rows` [K]."""
        shape = self._filling.shape
        saved.array("filling", self._filling.dtype, (shape[0], *shape[2:]))
        for blob in saved.blobs("full", len(rows)).data[:1]:  # a sample: all come from one codec
            try:
                self._codec.decode(blob, np.empty(int(rows[0]) * self._column.row_bytes, np.uint8))
            except Exception as error:  # each library has errors of its own
                raise saved.refuse("full", f"must be {self._column.codec} blocks ({error})") from None

    def load(self, filling: NDArray) -> None:
        """Hold exactly these blocks that are being filled, and no full ones, which `put` adds."""
        self._collect(wait=True)
        self._side[:] = 0
        self._filling[:, 0] = filling
        self._frozen = [None] * len(self._frozen)  # a block left from before would be read for an open one
        self._bytes = 0

    def put(self, slots: Ints, blocks: Sequence[Bytes]) -> None:
        """Full blocks, encoded, as `blocks` gave them."""
        for slot, block in zip(slots.tolist(), blocks, strict=True):
            self._keep(slot, block)


def _place(out: NDArray, piece: Piece, block: NDArray) -> None:
    """Copy a piece's rows from the block that holds them."""
    rows = piece.stop - piece.begin
    out[piece.item, piece.begin : piece.stop] = block[piece.offset : piece.offset + rows]
    _pad(out, piece)


def _pad(out: NDArray, piece: Piece) -> None:
    """Repeat a piece's first and last row over its padding."""
    item = out[piece.item]
    if piece.start < piece.begin:
        item[piece.start : piece.begin] = item[piece.begin]
    if piece.stop < piece.end:
        item[piece.stop : piece.end] = item[piece.stop - 1]
