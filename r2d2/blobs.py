"""Immutable pieces of bytes under integer keys, which a checkpoint writes to disk once.

A full block of replay never changes, so its key names its content for the life of a run: the first save
that meets a key writes the blob, later checkpoints only refer to it. A run that goes back to an older
checkpoint may give a key to other content; `r2d2.checkpoint` handles that, the owner of the blobs need not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BytesLike = bytes | bytearray | memoryview  # C-contiguous; `array.data` is a memoryview of an array


@dataclass(frozen=True, eq=False)
class Blobs:
    """Blobs and their keys, side by side: `data[i]` is the content of `keys[i]`.

    `data` is indexed only where a blob must be read: a save that knows its parent checkpoint reads new blobs
    only, so `data` may be a lazy sequence. Out of a checkpoint it comes as a list of `bytes`.

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
