"""Means over seeds with 95 % bootstrap intervals. Pure functions of their arguments.

Only seeds are resampled: evaluation episodes are not seeds, and must be averaged within each seed first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95
RESAMPLES = 10_000  # ours: the ends then vary by less than a hundredth of the interval with `seed`
TRIM = 0.25  # from each end: the interquartile mean of Agarwal et al. 2021, section 4.3

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Interval(NamedTuple):
    """A statistic over seeds and the ends of its interval, in the unit of the values."""

    mean: float
    low: float
    high: float


def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last axis."""
    return np.asarray(values.mean(-1))


def iqm(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interquartile mean over the last axis: without the floor(S / 4) smallest and largest of S values.

    >>> float(iqm(np.array([0.0, 10.0, 2.0, 3.0, 100.0])))
    5.0
    """
    count = values.shape[-1]
    cut = int(TRIM * count)
    return np.asarray(np.sort(values, -1)[..., cut : count - cut].mean(-1))


def interval(values: ArrayLike, seed: int = 0, statistic: Statistic = mean) -> Interval:
    """The mean (or `iqm`) over seeds and its 95 % percentile bootstrap interval.

    `values` is [S], one per seed, or [S, K] for K tasks: then each task's seeds are resampled separately and all
    are pooled (stratified bootstrap). One seed has no interval: its ends are NaN. With few seeds the interval is
    too narrow (with 5 normally distributed ones its coverage is about 85 %), so report S beside it.

    >>> interval([1.0, 2.0, 3.0, 4.0, 5.0])
    Interval(mean=3.0, low=1.8, high=4.2)
    >>> interval([7.0])
    Interval(mean=7.0, low=nan, high=nan)

    Raises ValueError for no values and for values that are not finite.
    """
    data = np.asarray(values, np.float64)
    if data.ndim not in (1, 2) or data.size == 0:
        raise ValueError(f"values must be [S] or [S, K] with at least one seed, got shape {data.shape}")
    if not np.isfinite(data).all():
        raise ValueError(f"values must be finite, got {data[~np.isfinite(data)][0]}: leave failed runs out")
    table = data.reshape(len(data), -1)  # [S, K]
    estimate = float(statistic(table.ravel()))
    if len(table) == 1:
        return Interval(estimate, float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(table), size=(RESAMPLES, *table.shape))
    resampled = np.take_along_axis(table[None], drawn, 1).reshape(RESAMPLES, -1)  # [R, S * K]
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(statistic(resampled), [tail, 100 - tail])
    return Interval(estimate, float(low), float(high))


def band(curves: ArrayLike, seed: int = 0) -> NDArray[np.float64]:
    """Mean, low and high [3, P] of curves [S, P] that share their P points: the `interval` of each.

    >>> band([[0.0, 1.0], [2.0, 1.0]]).tolist()
    [[1.0, 1.0], [0.0, 1.0], [2.0, 1.0]]
    """
    values = np.asarray(curves, np.float64)
    mean = values.mean(0)
    if len(values) == 1:
        return np.stack([mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)])
    drawn = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    counts = (drawn[..., None] == np.arange(len(values))).sum(1)  # [R, S]: how often each seed was drawn
    tail = 100 * (1 - LEVEL) / 2
    ends = np.percentile(counts @ values / len(values), [tail, 100 - tail], axis=0)
    return np.concatenate([mean[None], ends])
