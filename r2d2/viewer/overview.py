"""Charts of a whole replay: its priorities, and the distribution of draws over its items."""

from __future__ import annotations

from typing import Any

import numpy as np

from r2d2.report.figure import Figure, Line
from r2d2.report.plot import plot
from r2d2.viewer.contents import Items

BINS = 60  # of the histogram; ours
POINTS = 200  # of the share of mass; ours


def figures(items: Items) -> list[Figure]:
    """The charts; none for an empty replay."""
    return [_histogram(items), _mass(items), _ages(items)] if len(items) else []


def overview(items: Items) -> dict[str, dict[str, Any]]:
    """The plotly figures, by the name of their place in the page."""
    return {figure.name: plot(figure) for figure in figures(items)}


def charts(items: Items) -> list[tuple[str, str, str]]:
    """Name, heading and caption of each chart."""
    return [(figure.name, figure.title, figure.caption) for figure in figures(items)]


def _histogram(items: Items) -> Figure:
    priorities = np.asarray(items.values["priority"], np.float64)
    low, high = max(float(priorities.min()), float(priorities.max()) * 1e-6, 1e-12), float(priorities.max())
    edges = np.geomspace(low, max(high, low * 1.01), BINS + 1)
    counts, _ = np.histogram(np.clip(priorities, low, None), edges)
    line = Line("items", 0, np.repeat(edges, 2)[1:-1], np.repeat(counts, 2).astype(np.float64))
    caption = (
        "Items by what the selector holds for each (for proportional draws, priority to the power alpha)."
    )
    return Figure(
        "priorities",
        "Priorities",
        "priority as the selector holds it",
        "items",
        [line],
        log_x=True,
        caption=caption,
    )


def _mass(items: Items) -> Figure:
    probability = np.sort(np.asarray(items.values["probability"], np.float64))[::-1]
    share = np.concatenate([[0.0], np.cumsum(probability) / probability.sum()])
    at = np.unique(np.linspace(0, len(probability), POINTS).astype(np.int64))
    even = at / len(probability)
    lines = [
        Line("this replay", 0, even * 100, share[at] * 100),
        Line("uniform draws", 5, even * 100, even * 100, dash="dash"),
    ]
    return Figure(
        "mass",
        "Share of draws",
        "items, highest priority first (%)",
        "share of draws (%)",
        lines,
        caption="What part of all draws goes to the items of the highest priorities.",
    )


def _ages(items: Items) -> Figure:
    """Probability of being drawn by age, relative to uniform draws."""
    age = np.asarray(items.values["age"], np.float64)
    known = np.isfinite(age)
    edges = np.linspace(0, max(float(age[known].max()) if known.any() else 1.0, 1.0), 31)
    probability = np.asarray(items.values["probability"], np.float64)
    held, _ = np.histogram(age[known], edges)
    mass, _ = np.histogram(age[known], edges, weights=probability[known])
    relative = np.divide(mass * len(items), held, out=np.full(len(held), np.nan), where=held > 0)
    line = Line("items", 0, (edges[1:] + edges[:-1]) / 2, relative, markers=True)
    return Figure(
        "ages",
        "Draws by age",
        "age (updates since an item was inserted)",
        "draws, over uniform",
        [line],
        caption="1 is as often as uniform draws; below it, items of that age are neglected.",
    )
