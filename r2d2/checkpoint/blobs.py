"""Immutable pieces of bytes under integer keys, which a checkpoint writes to disk once.

A full block of replay never changes, so its key identifies its content throughout a run: the first save
with a new key writes the blob, later checkpoints only refer to it. A run that goes back to an older
checkpoint may reuse a key for other content; `checkpoint.py` handles that, not the owner of the blobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BytesLike = bytes | bytearray | memoryview  # C-contiguous; `array.data` is a memoryview of an array


@dataclass(frozen=True, eq=False)
class Blobs:
    """Blobs and their keys: `data[i]` is the content of `keys[i]`.

    `data` is indexed only where a blob must be read: a save that knows its parent checkpoint reads only new
    blobs, so `data` may be a lazy sequence. Loaded from a checkpoint it is a list of `bytes`.

    Raises ValueError when keys are not int64 [K] in increasing order, or `data` has another length.
    """

    keys: NDArray[np.int64]  # [K], unique, increasing
    data: Sequence[BytesLike]  # K pieces, each of any length in bytes

    def __post_init__(self) -> None:
        if self.keys.dtype != np.int64 or self.keys.ndim != 1:
            raise ValueError(f"keys must be int64 [K], got {self.keys.dtype} {list(self.keys.shape)}")
        if len(self.keys) != len(self.data):
            raise ValueError(f"data must have one blob a key, got {len(self.data)} for {len(self.keys)} keys")
        steps = self.keys[1:] > self.keys[:-1]
        if not steps.all():
            at = int(np.argmin(steps)) + 1
            raise ValueError(
                f"keys must be unique and increasing, got {self.keys[at]} after {self.keys[at - 1]} at {at}: "
                "sort them"
            )

    def __len__(self) -> int:
        return len(self.keys)


class RowBlobs(Sequence[bytes]):
    """Rows of same-sized arrays as blobs: blob i is row `rows[i]` of every array, one after the other.

    Each blob is built on access, so one that is already in a checkpoint costs nothing.
    """

    CHUNK = 4096  # blobs restored at a time; bounds the memory that `load` takes beyond the arrays

    def __init__(self, arrays: Sequence[NDArray], rows: NDArray[np.int64]) -> None:
        self._arrays, self._rows = arrays, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return b"".join(array[self._rows[index]].tobytes() for array in self._arrays)

    def load(self, blobs: Sequence[Any]) -> None:
        """Write the blobs' content back into the arrays."""
        for start in range(0, len(blobs), self.CHUNK):
            rows = self._rows[start : start + self.CHUNK]
            joined = b"".join(blobs[start : start + self.CHUNK])
            table = np.frombuffer(joined, np.uint8).reshape(len(rows), -1)
            offset = 0
            for array in self._arrays:
                size = array[0].nbytes
                piece = np.ascontiguousarray(table[:, offset : offset + size])
                array[rows] = piece.view(array.dtype).reshape(len(rows), *array.shape[1:])
                offset += size
