"""The loops that look for numbers that are NaN or infinite."""

from __future__ import annotations

import numpy as np
from numba import carray

from r2d2.replay.kernels.held import matrix, pointer
from r2d2.replay.kernels.kernel import inner, kernel


@kernel
def finite(values):
    """Whether no value is NaN or infinite."""
    for i in range(len(values)):  # noqa: SIM110 (the compiler knows no generators)
        if not np.isfinite(values[i]):
            return False
    return True


@inner
def finite_rows(held, rows):
    """Whether no float in the staged records is NaN or infinite: none has all bits of its exponent set."""
    floats, width = matrix(held.floats, np.int64), held.staged.second // 4
    words = carray(pointer(held.staged.address), (rows * width,), np.uint32)
    for f in range(len(floats)):
        first, count, stride, mask = floats[f, 0], floats[f, 1], floats[f, 2], np.uint32(floats[f, 3])
        for row in range(rows):
            for k in range(count):
                if words[row * width + first + k * stride] & mask == mask:
                    return False
    return True
