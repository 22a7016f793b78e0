"""Bounds of a config's numbers, written beside each field: `unroll: Annotated[int, Bounds(1, 10**6)] = 80`."""

from __future__ import annotations

import typing
from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """The least and the largest value of a number; both are allowed, and NaN is in no bounds.

    >>> Bounds(0, 1).holds(1), Bounds(0, 1).holds(float("nan"))
    (True, False)
    """

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a number lies within."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"from {_number(self.low)} to {_number(self.high)}"


# What many fields share. The upper ends only keep out what no machine can do, such as numbers that an int64
# cannot count: what a machine does not have the memory for is refused with the bytes that it would take.
SHARE = Bounds(0, 1)
COUNT = Bounds(1, 10**15)  # steps, updates
COUNT_OR_NEVER = Bounds(0, 10**15)
ITEM_STEPS = Bounds(1, 2**15 - 1)  # the item table counts them in 16 bits
WIDTH = Bounds(1, 10**8)  # units of a layer
PROCESSORS = Bounds(0, 10**5)


def bounds_of(section: type) -> dict[str, Bounds]:
    """The bounds of a section's numbers, by field; those of `float | None` too."""
    return {
        name: mark
        for name, kind in typing.get_type_hints(section, include_extras=True).items()
        for part in (kind, *typing.get_args(kind))
        for mark in getattr(part, "__metadata__", ())
        if isinstance(mark, Bounds)
    }


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
