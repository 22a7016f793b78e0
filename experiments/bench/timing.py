"""Timings taken in turn, so that noise affects every candidate alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import psutil

WARM_UP = 3  # uncounted rounds, for compilers and caches; ours


@dataclass(frozen=True)
class Measure:
    """One quantity, measured several times."""

    unit: str
    samples: list[float]

    def summary(self) -> dict[str, float | int | str]:
        """Median, extremes and number of the samples.

        >>> Measure("s", [3.0, 1.0, 2.0]).summary()
        {'unit': 's', 'median': 2.0, 'min': 1.0, 'max': 3.0, 'n': 3}
        """
        values = self.samples
        return {
            "unit": self.unit,
            "median": float(np.median(values)),
            "min": float(min(values)),
            "max": float(max(values)),
            "n": len(values),
        }


def one(unit: str, value: float) -> Measure:
    """A quantity that is counted or measured once."""
    return Measure(unit, [float(value)])


def in_turns(
    calls: Mapping[str, Callable[[], object]],
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Measure]:
    """Seconds of each call by this clock, one of every name per round, in the given order."""
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(WARM_UP + repeats):
        for name, call in calls.items():
            start = clock()
            call()
            seconds = clock() - start
            if round_ >= WARM_UP:
                samples[name].append(seconds)
    return {name: Measure("s", values) for name, values in samples.items()}


def resident() -> int:
    """Bytes of memory that this process and its children use now."""
    process = psutil.Process()
    return sum(p.memory_info().rss for p in [process, *process.children(recursive=True)])
