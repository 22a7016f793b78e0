"""The page and the figure that state what was found; every number is computed from the tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments import style
from experiments.next_r2d2.cells import GAMES, TASKS
from experiments.next_r2d2.rows import Row, pooled
from r2d2.report.intervals import Interval

HEAD = """# What R2D2's successors bring

Made by `{command}`; do not edit. `base` is the preset `r2d2-small` with the replay and the steps of a short run
(`experiments/next_r2d2/cells.py`); every other line is a change to it, and nothing else is tuned. On {machine},
one core a run, {seeds} seeds. A run's score is the mean of its last three evaluations (16 greedy episodes each).
Scores are normalized per game: random actions have 0, the mean of `base` has 1. **IQM** is the interquartile mean
over the five games of MinAtar and all seeds, with a stratified 95 % bootstrap interval; *same time* counts the
evaluations within the CPU seconds that `base` takes.
"""


def page(rows: Sequence[Row], *, command: str, machine: str) -> str:
    """Two tables: MinAtar together, and every task."""
    seeds = len({row["seed"] for row in rows})
    names = list(dict.fromkeys(row["variant"] for row in rows))
    lines = [HEAD.format(command=command, machine=machine, seeds=seeds)]
    lines += ["| variant | IQM | IQM, same time | CPU seconds a run |", "|---|---|---|---|"]
    for name in names:
        found = [pooled(rows, GAMES, name, f"normalized_{column}") for column in ("score", "same_time")]
        seconds = [row["cpu_seconds"] for row in rows if row["variant"] == name and row["task"] in GAMES]
        if seconds:
            lines.append(f"| `{name}` | {_text(found[0])} | {_text(found[1])} | {np.nanmean(seconds):.0f} |")
    lines += [
        "",
        "Mean scores (seeds):",
        "",
        f"| variant | {' | '.join(TASKS)} |",
        "|---" * (len(TASKS) + 1) + "|",
    ]
    for name in names:
        cells = []
        for task in TASKS:
            own = [row["score"] for row in rows if (row["task"], row["variant"]) == (task, name)]
            cells.append(f"{np.mean(own):.3g} ({len(own)})" if own else "")
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Files: `curves.csv`, `scores.csv`.", ""])


def _text(found: Interval | None) -> str:
    if found is None:
        return "not all games yet"
    if np.isnan(found.low):
        return f"{found.mean:.2f}"
    return f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]"


def draw(curve: Sequence[Row], path: Path) -> None:
    """One panel a task, one line a variant: the mean over seeds."""
    tasks = [task for task in TASKS if any(row["task"] == task for row in curve)]
    with style.styled():
        figure, axes = style.panels(len(tasks))
        for axis, task in zip(axes, tasks, strict=False):
            own = [row for row in curve if row["task"] == task]
            for name in dict.fromkeys(row["variant"] for row in own):
                steps = sorted({row["env_steps"] for row in own if row["variant"] == name})
                means = [
                    np.mean([r["score"] for r in own if (r["variant"], r["env_steps"]) == (name, step)])
                    for step in steps
                ]
                axis.plot(steps, means, label=name, lw=2.5 if name == "base" else 1.2)
            axis.set(title=task, xlabel="environment steps", ylabel="return")
        style.finish(figure, axes, path)
