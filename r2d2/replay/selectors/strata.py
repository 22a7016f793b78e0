"""Where in [0, 1) the draws of one batch fall."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def strata(n: int, rng: np.random.Generator, stratified: bool) -> NDArray[np.float64]:
    """n points in [0, 1): one in each of n equal ranges, in order, or all independent.

    >>> (strata(4, np.random.default_rng(0), True) * 4).astype(int).tolist()
    [0, 1, 2, 3]
    """
    u = rng.random(n)
    return (np.arange(n) + u) / n if stratified else u
