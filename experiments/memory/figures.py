"""The figure: one panel a task, the return of each agent against environment steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from experiments.memory.cells import PEER
from experiments.memory.rows import Row
from experiments.memory.tasks import TASKS
from experiments.stored_state.rows import chosen
from r2d2.report.intervals import band

COLUMNS = 3
COLORS = {"memory": "#1e8449", "feed-forward": "#999999", PEER: "#c0392b"}


def draw(curve: Sequence[Row], path: Path) -> None:
    """Means over seeds with 95 % intervals; the dotted line is the return from which the task is solved."""
    tasks = [name for name in TASKS if chosen(curve, task=name)]
    columns = min(COLUMNS, len(tasks))
    height = -(-len(tasks) // columns)
    figure, axes = plt.subplots(
        height, columns, figsize=(4.5 * columns, 3.2 * height), constrained_layout=True, squeeze=False
    )
    for axis, task in zip(axes.flat, tasks, strict=False):
        rows = chosen(curve, task=task)
        for agent in dict.fromkeys(row["agent"] for row in rows):
            own = chosen(rows, agent=agent)
            lines = [chosen(own, seed=seed) for seed in sorted({row["seed"] for row in own})]
            steps = [[row["env_steps"] for row in line] for line in lines]
            points = np.unique(np.concatenate(steps)).astype(np.float64)
            points = points[(points >= max(m[0] for m in steps)) & (points <= min(m[-1] for m in steps))]
            if len(points) == 0:
                continue
            values = [[row["score"] for row in line] for line in lines]
            found = band([np.interp(points, m, v) for m, v in zip(steps, values, strict=True)])
            axis.plot(points, found[0], color=COLORS.get(agent), lw=1.3, label=agent)
            axis.fill_between(points, found[1], found[2], color=COLORS.get(agent), alpha=0.12, lw=0)
        axis.axhline(TASKS[task].solved, color="black", ls=":", lw=1)
        axis.set(title=task, xlabel="environment steps", ylabel="greedy return")
        ours = [row["env_steps"] for row in rows if row["agent"] != PEER]
        axis.set_xlim(0, max(ours) if ours else None)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=7)
    for axis in axes.flat[len(tasks) :]:
        axis.set_axis_off()
    figure.savefig(path, dpi=90, metadata={"Software": None})
    plt.close(figure)
