"""The style of the committed figures, the same as in `r2d2 report`: one size, one palette, legible text.

    with style.styled():
        figure, axes = style.panels(2)
        ...                                # draw, with a label for each line
        style.finish(figure, axes, path)

A figure is 800 pixels wide in a page, with at most two panels side by side. Lines are named once: at their ends
if there is one panel, else in a line above all panels, or in place of a fourth panel.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from r2d2.report.png import spread, styled
from r2d2.report.style import COLORS, GRAY, WIDTH

__all__ = ["BLACK", "BLUE", "GRAY", "GREEN", "LIGHT", "ORANGE", "PINK", "SKY", "finish", "panels", "styled"]

BLUE, ORANGE, GREEN, PINK, LIGHT, SKY, BLACK = COLORS
PANEL_HEIGHT = 3.1  # inches; ours
COLUMNS = 2
LEGEND_WIDTH = 100  # characters above the panels; an entry takes six more than its name
LEGEND_ROW = 0.2  # inches
VEIL: Any = {"alpha": 0.18, "lw": 0}  # of an interval


def panels(count: int, *, height: float = PANEL_HEIGHT) -> tuple[Figure, list[Axes]]:
    """A figure with this many panels, two in a row; inside `styled`."""
    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH, rows * height + (0.9 if rows == 1 and columns == 1 else 0.3)))
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flat[:count]) + [_empty(axis) for axis in axes.flat[count:]]


def _empty(axis: Axes) -> Axes:
    axis.set_axis_off()
    return axis


def finish(figure: Figure, axes: Sequence[Axes], path: Path, *, names: bool = True) -> None:
    """Name the lines and write the figure; `axes` are those from `panels`."""
    shown = [axis for axis in axes if axis.axison]
    if names and len(shown) == 1:
        name_ends(shown[0])
    elif names:
        found = _named(shown)
        free = [axis for axis in axes if not axis.axison]
        if free and found:
            free[0].legend(list(found.values()), list(found), loc="center left", fontsize=10)
        elif len(found) > 1:
            columns = max(1, min(len(found), LEGEND_WIDTH // (6 + max(map(len, found)))))
            figure.set_figheight(figure.get_figheight() + LEGEND_ROW * -(-len(found) // columns))
            figure.legend(list(found.values()), list(found), loc="outside upper left", ncols=columns)
    figure.savefig(path, metadata={"Software": None})


def _named(axes: Sequence[Axes]) -> dict[str, Artist]:
    """Label -> a line or bar with that label, over all panels."""
    found: dict[str, Artist] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return found


def name_ends(axis: Axes, *, size: float = 9.5) -> None:
    """Label each line at its right end, in its color, without overlaps."""
    lines: list[tuple[float, Any]] = []
    axis.autoscale_view()  # or positions are those of other limits
    for line in axis.get_lines():
        if not str(line.get_label()).startswith("_"):
            x, y = (np.asarray(data, np.float64)[-1] for data in line.get_data())
            at = axis.transData.transform((x, y))
            lines.append((float(axis.transAxes.inverted().transform(at)[1]), line))
    lines.sort(key=lambda end: end[0])
    heights = spread([height for height, _ in lines])
    for height, (_, line) in zip(heights, lines, strict=True):
        axis.text(1.01, height, line.get_label(), color=line.get_color(), transform=axis.transAxes,
                  va="center", size=size)  # fmt: skip


def steps_axis(axis: Axes) -> None:
    """Environment steps on the horizontal axis, as 20k or 1.5M."""
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.set_xlabel("environment steps")
