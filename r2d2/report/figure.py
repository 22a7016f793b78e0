"""Figure: the content of a figure, independent of plotly, which draws the page, and matplotlib, for PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

STEPS = "environment steps"  # the axis of most figures

Floats = NDArray[np.float64]
Dash = Literal["solid", "dash", "dot"]


@dataclass(frozen=True)
class Line:
    """A curve, optionally with an interval around it."""

    label: str
    color: int  # index of its color in the palette
    x: Floats
    y: Floats
    low: Floats | None = None
    high: Floats | None = None
    dash: Dash = "solid"
    markers: bool = False
    seeds: Sequence[tuple[Floats, Floats]] = ()  # each drawn thin, together with the curve
    shown: bool = True  # initially; a click on its name in the page shows it


@dataclass(frozen=True)
class Dot:
    """A value with the ends of its interval, which may be NaN."""

    label: str
    color: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Heat:
    """Shares [Y, X] by columns x and edges of rows y, which are logarithmic."""

    x: Floats  # [X]
    edges: Floats  # [Y + 1]
    share: Floats  # [Y, X]


@dataclass(frozen=True)
class Figure:
    """One figure: lines, or dots, or a heat map."""

    name: str  # of its files
    title: str
    x: str  # what the axis shows, with its unit
    y: str
    lines: Sequence[Line] = field(default_factory=tuple)
    dots: Sequence[Dot] = field(default_factory=tuple)
    heat: Heat | None = None
    log_y: bool = False
    log_x: bool = False
    mark: float | None = None  # a value of y to draw a thin line at
    caption: str = ""
