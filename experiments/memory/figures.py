"""The figure: one panel a task, the return of each agent against environment steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from experiments import style
from experiments.memory.cells import PEER
from experiments.memory.rows import Row
from experiments.memory.tasks import TASKS
from experiments.stored_state.rows import chosen
from r2d2.report.intervals import band

COLORS = {"memory": style.BLUE, "lstm-stored": style.ORANGE, "feed-forward": style.GRAY, PEER: style.BLACK}
OTHERS = (style.GREEN, style.PINK, style.LIGHT, style.SKY)
DASHES = ("-", "--", ":", "-.")


def draw(curve: Sequence[Row], path: Path) -> None:
    """Means over seeds with 95 % intervals; the dotted line is the return from which the task is solved."""
    tasks = [name for name in TASKS if chosen(curve, task=name)]
    looks = _looks(list(dict.fromkeys(row["agent"] for row in curve)))
    with style.styled():
        figure, axes = style.panels(len(tasks), height=2.9)
        for axis, task in zip(axes, tasks, strict=False):
            rows = chosen(curve, task=task)
            for agent in dict.fromkeys(row["agent"] for row in rows):
                _curve(axis, chosen(rows, agent=agent), agent, *looks[agent])
            axis.axhline(TASKS[task].solved, color="black", ls=":", lw=1)
            style.steps_axis(axis)
            axis.set(title=task, ylabel="greedy return")
            ours = [row["env_steps"] for row in rows if row["agent"] != PEER]
            axis.set_xlim(0, max(ours) if ours else None)
        style.finish(figure, axes, path)


def _looks(agents: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Color and dash of each agent, the same in all panels."""
    others = [agent for agent in agents if agent not in COLORS]
    count = len(OTHERS)
    return {agent: (COLORS[agent], "-") for agent in agents if agent in COLORS} | {
        agent: (OTHERS[number % count], DASHES[number // count % len(DASHES)])
        for number, agent in enumerate(others)
    }


def _curve(axis: Axes, rows: Sequence[Row], agent: str, color: str, dash: str) -> None:
    """The mean over the seeds of an agent, where they have steps in common."""
    lines = [chosen(rows, seed=seed) for seed in sorted({row["seed"] for row in rows})]
    steps = [[row["env_steps"] for row in line] for line in lines]
    points = np.unique(np.concatenate(steps)).astype(np.float64)
    points = points[(points >= max(m[0] for m in steps)) & (points <= min(m[-1] for m in steps))]
    if len(points) == 0:
        return
    values = [[row["score"] for row in line] for line in lines]
    found = band([np.interp(points, m, v) for m, v in zip(steps, values, strict=True)])
    axis.plot(points, found[0], dash, color=color, label=agent)
    axis.fill_between(points, found[1], found[2], color=color, **style.VEIL)
