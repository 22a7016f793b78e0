"""Curves: one metric of the runs of a setting, against steps or time, with the interval over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from r2d2.report.intervals import band
from r2d2.report.run import Run

POINTS = 200  # of a curve, at most: as many as a screen shows; ours

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """Mean over seeds with its 95 % interval (NaN for one seed), and each seed's own points."""

    at: Floats  # [P] environment steps or seconds
    mean: Floats  # [P]
    low: Floats  # [P]
    high: Floats  # [P]
    seeds: Sequence[tuple[Floats, Floats]]


def curve(runs: Sequence[Run], name: str, clock: str = "env_steps") -> Curve | None:
    """The curve of a metric over those runs that logged it; None if none did.

    The mean covers the range that all seeds have in common, since it would otherwise jump where a seed begins or
    ends. Each seed's curve is interpolated linearly.
    """
    own = [as_arrays(run, name, clock) for run in runs]
    own = [points for points in own if len(points[0])]
    if not own:
        return None
    begin, end = max(at[0] for at, _ in own), min(at[-1] for at, _ in own)
    longest = max(len(at) for at, _ in own)
    if len(own) == 1:
        at, values = thinned(*own[0])
    elif begin > end:  # the seeds have no range in common
        none = np.zeros(0)
        return Curve(none, none, none, none, [thinned(*points) for points in own])
    else:
        at = np.linspace(begin, end, min(POINTS, longest)) if end > begin else np.array([begin])
        values = np.stack([np.interp(at, *points) for points in own])
    mean, low, high = band(np.atleast_2d(values))
    return Curve(at, mean, low, high, [thinned(*points) for points in own])


def as_arrays(run: Run, name: str, clock: str) -> tuple[Floats, Floats]:
    """Times and values of a run's metric, one value per time, in order."""
    at, values = (np.array(column, np.float64) for column in run.points(name, clock))
    last = np.flatnonzero(np.append(np.diff(at) > 0, True)) if len(at) else np.zeros(0, np.int64)
    return at[last], values[last]


def thinned(at: Floats, values: Floats) -> tuple[Floats, Floats]:
    """At most `POINTS` of the points."""
    chosen = kept(len(at))
    return at[chosen], values[chosen]


def kept(count: int) -> NDArray[np.int64]:
    """The indices of the points to show: at most `POINTS` of `count`, evenly spaced, including both ends."""
    return np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(np.int64))
