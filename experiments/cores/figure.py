"""The figure: for each task whose question lies beyond the item, scores and Delta-Q of each core and start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from experiments import style
from experiments.cores.cells import CORES, TASKS
from experiments.cores.page import KINDS, NAMES
from experiments.stored_state.cells import CONTROL
from experiments.stored_state.figures import COLORS
from experiments.stored_state.rows import FIRST, Row, chosen, known, over_seeds

WIDTH = 0.7  # of the places of a core's points, where cores are 1 apart


def draw(score: Sequence[Row], path: Path) -> None:
    """Points are means over seeds with 95 % intervals; hollow ones have a burn-in. A Delta-Q of 0 is not drawn."""
    tasks = [name for name, task in TASKS.items() if not task.inside and chosen(score, task=name)]
    with style.styled():
        figure, axes = style.panels(2 * len(tasks))
        for number, name in enumerate(tasks):
            own = chosen(score, task=name)
            scores, deltas = axes[2 * number : 2 * number + 2]
            _points(scores, own, "score")
            scores.axhline(0.0, color="black", ls=":", lw=1, label="best without memory")
            scores.set(title=name, ylabel="score, greedy return", ylim=(-1.1, 1.1))
            _points(deltas, [row for row in own if row["strategy"] != CONTROL], FIRST)
            deltas.set(title=f"{name}: first trained step", ylabel="Delta-Q", yscale="log")
        style.finish(figure, axes, path)


def _points(axis: Axes, score: Sequence[Row], column: str) -> None:
    cores = [core for core in CORES if chosen(score, core=core)]
    for place, (start, burn_in) in enumerate(KINDS):
        found = [
            (at, over_seeds(own, column))
            for at, core in enumerate(cores)
            if (own := known(chosen(score, core=core, strategy=start, burn_in=burn_in), column))
        ]
        if found:
            at = np.array([number for number, _ in found]) + WIDTH * (place / (len(KINDS) - 1) - 0.5)
            values = np.array([interval for _, interval in found])  # [C, 3]
            error = np.abs(values[:, 1:].T - values[:, 0])
            label = NAMES.get(start, start) + (f", burn-in {burn_in}" if burn_in else "")
            filling = "white" if burn_in else COLORS[start]
            axis.errorbar(
                at, values[:, 0], error, fmt="o", capsize=2, color=COLORS[start], mfc=filling, label=label
            )
    axis.set_xticks(range(len(cores)), cores)
    axis.set_xlim(-0.5, len(cores) - 0.5)
