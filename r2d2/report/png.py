"""Figures as PNG files, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import EngFormatter

from r2d2.report.figure import STEPS, Dot, Figure, Heat, Line
from r2d2.report.style import GRAY, MATPLOTLIB, SCALE, WIDTH, color, dash

PATTERNS = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
HEIGHT = 4.2  # inches


def draw(figure: Figure, path: Path) -> None:
    """Write one figure as a PNG file that is legible at 800 pixels."""
    with styled():
        canvas = Canvas(figsize=(WIDTH, HEIGHT))
        axes = canvas.subplots()
        draw_on(axes, figure)
        canvas.savefig(path, metadata={"Software": None})


def styled() -> Any:
    """A context in which matplotlib draws in the style of all figures."""
    return matplotlib.rc_context(MATPLOTLIB)  # type: ignore[arg-type]


def draw_on(axes: Axes, figure: Figure) -> None:
    """Draw a figure on axes, without its caption."""
    axes.set(title=figure.title, xlabel=figure.x, ylabel=figure.y)
    if figure.x == STEPS:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    if figure.heat is not None:
        _heat(axes, figure.heat)
        return
    for line in figure.lines:
        if line.shown:
            _line(axes, line)
    if figure.mark is not None:
        axes.axhline(figure.mark, color=GRAY, lw=0.9, ls=":")
    if figure.dots:
        _dots(axes, figure.dots)
    if figure.log_x:
        axes.set_xscale("log")
    if figure.log_y:
        axes.set_yscale("log")
    if len(figure.lines) > 1:
        label_ends(axes, [line for line in figure.lines if line.shown])


def _line(axes: Axes, line: Line) -> None:
    tint = color(line.color)
    pattern = PATTERNS[dash(line.color) if line.dash == "solid" else line.dash]
    for x, y in line.seeds:
        axes.plot(x, y, color=tint, lw=0.7, alpha=0.4)
    marker = "o" if line.markers and len(line.x) <= 40 else None
    axes.plot(line.x, line.y, pattern, color=tint, marker=marker, ms=3.5, label=line.label)
    if line.low is not None and line.high is not None and np.isfinite(line.low).any():
        axes.fill_between(line.x, line.low, line.high, color=tint, alpha=0.15, lw=0)


def label_ends(axes: Axes, lines: Sequence[Line]) -> None:
    """Label each line at its right end, in its color, without overlaps."""
    ends = []
    axes.autoscale_view()  # or positions are those of other limits
    for line in lines:
        finite = np.flatnonzero(np.isfinite(line.y))
        if len(finite):
            at = axes.transData.transform((line.x[finite[-1]], line.y[finite[-1]]))
            ends.append((float(axes.transAxes.inverted().transform(at)[1]), line))
    ends.sort(key=lambda end: end[0])
    heights = spread([height for height, _ in ends])
    for height, (_, line) in zip(heights, ends, strict=True):
        axes.text(
            1.01, height, line.label, color=color(line.color), transform=axes.transAxes, va="center", size=9
        )


def spread(heights: Sequence[float], apart: float = 0.065) -> list[float]:
    """Increasing heights in [0, 1], moved as little as possible to be `apart`.

    >>> [round(height, 2) for height in spread([0.5, 0.5, 0.9], apart=0.1)]
    [0.45, 0.55, 0.9]
    """
    groups: list[list[float]] = []  # each [sum of heights, members]; its members are spread around the mean
    for height in heights:
        groups.append([height, 1.0])
        while len(groups) > 1 and _top(groups[-2], apart) + apart > _bottom(groups[-1], apart):
            total, count = groups.pop()
            groups[-1][0] += total
            groups[-1][1] += count
    return [_bottom(group, apart) + apart * k for group in groups for k in range(int(group[1]))]


def _bottom(group: Sequence[float], apart: float) -> float:
    return group[0] / group[1] - apart * (group[1] - 1) / 2


def _top(group: Sequence[float], apart: float) -> float:
    return group[0] / group[1] + apart * (group[1] - 1) / 2


def _dots(axes: Axes, dots: Sequence[Dot]) -> None:
    for row, dot in enumerate(reversed(dots)):
        tint = color(dot.color)
        axes.plot([dot.low, dot.high], [row, row], color=tint, lw=6, alpha=0.3, solid_capstyle="butt")
        axes.plot([dot.value], [row], "o", color=tint, ms=6)
    axes.set_yticks(range(len(dots)), [dot.label for dot in reversed(dots)])
    axes.set_ylim(-0.6, len(dots) - 0.4)


def _heat(axes: Axes, heat: Heat) -> None:
    mesh = axes.pcolormesh(_column_edges(heat.x), heat.edges, heat.share, cmap=SCALE)
    axes.set_yscale("log")
    axes.grid(visible=False)
    axes.figure.colorbar(mesh, ax=axes, label="share of items")


def _column_edges(x: np.ndarray) -> np.ndarray:
    """Edges halfway between columns; the outermost are as far away as their neighbors."""
    if len(x) == 1:
        return np.array([x[0] - 0.5, x[0] + 0.5])
    middle = (x[1:] + x[:-1]) / 2
    return np.concatenate([[2 * x[0] - middle[0]], middle, [2 * x[-1] - middle[-1]]])
