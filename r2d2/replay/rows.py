"""RowArrays: the uncompressed columns of a storage.

Small columns share one array of records, since reading a random row costs one visit to memory for each
array. In a batch they are views into records too; large columns have an array each.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay import workers
from r2d2.replay.kernels import reading
from r2d2.types import Column

Ints = NDArray[np.int64]

AT_ONCE = 2**20  # bytes that are copied before a thread has taken over; ours
SMALL = 512  # bytes of a row, at most, of a column that goes into the records: a few cache lines; ours


def made_folder(folder: Path | str | None) -> Path | None:
    """The folder of scratch files, which is made if it is not there; None is memory."""
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
    return None if folder is None else Path(folder)


def zeros(shape: tuple[int, ...], dtype: np.dtype | str, folder: Path | None) -> NDArray:
    """An array of zeros, in memory (pages take none before they are written) or in a scratch file in `folder`.

    The file has no name and goes with the process. Its room on the disk is claimed at once: a full disk is an
    OSError here, not a crash later.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if folder is None or size == 0:
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise OSError(error.errno, f"{folder} has no room for {size:,} bytes of replay") from None
        return np.memmap(file, dtype, "r+", shape=shape)


def extended(array: NDArray, length: int, fill: float) -> NDArray:
    """A copy of `array` [N, ...] with rows of `fill` after it, `length` rows in all."""
    longer = np.full((length, *array.shape[1:]), fill, array.dtype)
    longer[: len(array)] = array
    return longer


class RowArrays:
    """`rows` rows of every column. The small ones of up to `streams` new rows are staged before they are stored."""

    def __init__(
        self, columns: Mapping[str, Column], rows: int, streams: int = 0, folder: Path | None = None
    ) -> None:
        self.columns = dict(columns)
        small = [name for name, column in columns.items() if column.row_bytes <= SMALL]
        small.sort(key=lambda name: -np.dtype(columns[name].dtype).itemsize)  # padding at the end alone
        self.small = frozenset(small)  # those in the records
        self.record = np.dtype([(n, columns[n].dtype, columns[n].shape) for n in small], align=True)
        self._records = zeros((rows,), self.record, folder)
        self._fields = {name: self._records[name] for name in small}
        self._staged = np.zeros(streams, self.record)
        self._stage = [(name, self._staged[name]) for name in small]
        floats = {name: columns[name].numpy_dtype for name in small if columns[name].numpy_dtype.char in "fd"}
        self.floats = frozenset(name for name, dtype in floats.items() if dtype.isnative)
        self.large = {
            name: zeros((rows, *column.shape), column.dtype, folder)
            for name, column in columns.items()
            if name not in small
        }

    @property
    def arrays(self) -> list[NDArray]:
        """Everything, row by row, as arrays [rows, bytes]."""
        arrays = [array for _, array in sorted(self.large.items())]
        if self._fields:
            arrays.append(self._records)
        return [array.reshape(len(array), -1).view(np.uint8) for array in arrays]

    @property
    def held(self) -> dict[str, NDArray]:
        """As `kernels.held` calls them."""
        floats = [_words(self.record, name) for name in sorted(self.floats)]
        return {
            "records": _as_bytes(self._records),
            "staged": _as_bytes(self._staged),
            "floats": np.array(floats, np.int64).reshape(-1, 4),
        }

    @property
    def nbytes(self) -> dict[str, int]:
        """Bytes by column; the first of the small ones bears the padding of the records."""
        sizes = {name: array.nbytes for name, array in self.large.items()}
        sizes |= {name: len(self._records) * self.columns[name].row_bytes for name in self._fields}
        if self._fields:
            sizes[next(iter(self._fields))] += self._records.nbytes - sum(sizes[n] for n in self._fields)
        return {name: sizes[name] for name in self.columns}

    def stage(self, values: Mapping[str, NDArray], count: int) -> None:
        """Put the small ones of `count` new rows side by side."""
        for name, field in self._stage:
            field[:count] = values[name]

    def write(self, at: Ints, values: Mapping[str, NDArray]) -> None:
        """Store values [K, ...] of every column in rows `at` [K]."""
        for name, field in self._fields.items():
            field[at] = values[name]
        self.write_large(at, values)

    def write_large(self, at: Ints, values: Mapping[str, NDArray]) -> None:
        """Store values [K, ...] of the large columns in rows `at` [K]."""
        for name, array in self.large.items():
            array[at] = values[name]

    def column(self, name: str) -> NDArray:
        """All rows of one column [rows, ...], as they are stored."""
        return self._fields[name] if name in self._fields else self.large[name]

    def read(self, rows: Ints, columns: Mapping[str, NDArray], records: NDArray) -> None:
        """Put rows [B, context + T] into `records` alike, and the last of them, as many as they have room for, into
        the large ones of `columns`."""
        if self._fields:  # numpy buffers the output in any other mode
            self._records.take(rows, axis=0, out=records, mode="clip")
        self.read_large(rows, columns)

    def read_large(self, rows: Ints, columns: Mapping[str, NDArray]) -> None:
        """`read` of the large columns."""
        for name, array in self.large.items():
            if name in columns:
                array.take(last_rows(rows, columns[name]), axis=0, out=columns[name], mode="clip")

    def copies(self, rows: Ints, columns: Mapping[str, NDArray]) -> list[Callable[[], None]]:
        """Jobs that do what `read_large` does, one for each thread; none, and it is done, where that is little."""
        chosen = [name for name in self.large if name in columns]
        if sum(columns[name].nbytes for name in chosen) < AT_ONCE:
            self.read_large(rows, columns)
            return []
        jobs: list[Callable[[], None]] = []
        for name in chosen:
            array, out = self.large[name], columns[name]
            each = -(-len(rows) // workers.count())
            for i in range(0, len(rows), each):
                jobs.append(partial(_copy, rows[i : i + each], array, out[i : i + each]))
        return jobs


def last_rows(rows: Ints, out: NDArray) -> Ints:
    """The last of the rows [B, T], as many as `out` [B, R, ...] has room for."""
    return rows[:, rows.shape[1] - out.shape[1] :]


def _copy(rows: Ints, source: NDArray, out: NDArray) -> None:
    """Put the last of the rows [B, T] of an array into `out` [B, R, ...]."""
    skip, size = rows.shape[1] - out.shape[1], source[0].nbytes
    reading.copy_rows(rows, skip, source.ctypes.data, size, out.ctypes.data)


def _as_bytes(records: NDArray) -> NDArray[np.uint8]:
    """Records [N] as [N, bytes]."""
    shape = (len(records), records.dtype.itemsize)
    return records.view(np.uint8).reshape(shape) if all(shape) else np.zeros(shape, np.uint8)


def _words(record: np.dtype, name: str) -> tuple[int, int, int, int]:
    """Where the exponents of a column of floats are in a record, as words of 32 bits: the first one, how many there
    are, how far apart, and the bits of an exponent."""
    fields: Any = record.fields
    dtype, offset = fields[name][:2]
    width = dtype.base.itemsize
    high = width - 4 if sys.byteorder == "little" else 0
    mask = 0x7F800000 if width == 4 else 0x7FF00000
    return (offset + high) // 4, math.prod(dtype.shape), width // 4, mask
