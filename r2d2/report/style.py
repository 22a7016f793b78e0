"""One style for all figures: colors safe for color-blind readers, text that is legible at 800 pixels."""

from __future__ import annotations

from typing import Any

# Okabe and Ito 2008, without their yellow, which is too light for a line on white; black is last.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("solid", "dash", "dot", "dashdot")  # once colors run out, patterns distinguish lines
GRAY = "#666666"
SCALE = "cividis"  # of heat maps: perceptually uniform, and safe for color-blind readers

WIDTH = 8.0  # inches of a figure of one or two panels: at 100 dots an inch 800 pixels
DPI = 100

MATPLOTLIB: dict[str, Any] = {
    "figure.dpi": DPI,
    "savefig.dpi": 2 * DPI,  # sharp on screens of twice the density
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "figure.constrained_layout.use": True,
}


def color(number: int) -> str:
    """The color of line `number`."""
    return COLORS[number % len(COLORS)]


def dash(number: int) -> str:
    """The pattern of line `number`: solid until the colors run out."""
    return DASHES[number // len(COLORS) % len(DASHES)]
