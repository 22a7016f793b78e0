"""The figure of some runs of one task, from the `curves.csv` that `r2d2 report` wrote.

    r2d2 report RUN_DIR ... --out experiments/results/NAME --goal 18
    python -m experiments.returns experiments/results/NAME --goal 18

Two seeds or fewer are drawn one by one, over steps and over minutes; more as their mean with its 95 % interval,
over steps.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from experiments import style
from r2d2.report.intervals import band
from r2d2.report.run import GREEDY, TRAINING

FEW = 2  # seeds too few for a meaningful interval; ours
SEED_COLORS = (style.BLUE, style.ORANGE)

Floats = NDArray[np.float64]
Curves = dict[str, tuple[Floats, Floats]]  # seed -> moments and values


def read(file: Path, metric: str, clock: str) -> dict[str, tuple[Floats, Floats]]:
    """The curve of a metric by seed: times and values."""
    found: dict[str, list[tuple[float, float]]] = {}
    with file.open(newline="") as lines:
        for row in csv.DictReader(lines):
            if row["metric"] == metric:
                found.setdefault(row["seed"], []).append((float(row[clock]), float(row["value"])))
    return {seed: (np.array(points)[:, 0], np.array(points)[:, 1]) for seed, points in found.items()}


def draw(folder: Path, goal: float | None) -> None:
    """Write `curve.png` beside `curves.csv`."""
    file = folder / "curves.csv"
    seeds = read(file, GREEDY, "env_steps")
    clocks = ["env_steps", "wall_seconds"] if len(seeds) <= FEW else ["env_steps"]
    with style.styled():
        figure, axes = style.panels(len(clocks))
        for axis, clock in zip(axes, clocks, strict=True):
            greedy, training = read(file, GREEDY, clock), read(file, TRAINING, clock)
            if goal is not None:
                axis.axhline(goal, color=style.GRAY, lw=0.9, ls=":")
                axis.text(0.01, goal, f"goal {goal:g}", color=style.GRAY, size=9, va="bottom",
                          transform=axis.get_yaxis_transform())  # fmt: skip
            if len(seeds) <= FEW:
                _seeds(axis, greedy, training, 1 / 60 if clock == "wall_seconds" else 1)
            else:
                _interval(axis, greedy, training)
            style.steps_axis(axis)
            axis.set(ylabel="episode return")
            if clock == "wall_seconds":
                axis.xaxis.set_major_formatter("{x:g}")
                axis.set_xlabel("minutes of training")
        style.finish(figure, axes, folder / "curve.png")


def _seeds(axis: Axes, greedy: Curves, training: Curves, scale: float) -> None:
    for seed, color in zip(greedy, SEED_COLORS, strict=False):
        if seed in training:
            x, y = training[seed]
            axis.plot(x * scale, y, color=color, lw=1, alpha=0.5, label=f"seed {seed}, training")
        x, y = greedy[seed]
        axis.plot(x * scale, y, "o-", color=color, ms=3.5, label=f"seed {seed}, greedy")


def _interval(axis: Axes, greedy: Curves, training: Curves) -> None:
    for curves, color, name in ((training, style.GRAY, "training"), (greedy, style.BLUE, "greedy")):
        begin, end = max(x[0] for x, _ in curves.values()), min(x[-1] for x, _ in curves.values())
        at = np.unique(np.concatenate([x for x, _ in curves.values()]))
        at = at[(at >= begin) & (at <= end)]
        mean, low, high = band([np.interp(at, *points) for points in curves.values()])
        axis.plot(at, mean, color=color, label=name)
        axis.fill_between(at, low, high, color=color, **style.VEIL)
        if name == "greedy":
            for x, y in curves.values():
                axis.plot(x, y, color=color, lw=0.6, alpha=0.5, label="_seed")
    axis.set_title(f"Mean over {len(greedy)} seeds with 95 % interval; thin: greedy, by seed")


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the figure of the folder named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="it has a curves.csv")
    parser.add_argument("--goal", type=float, help="a return to mark")
    options = parser.parse_args(arguments)
    draw(options.folder, options.goal)


if __name__ == "__main__":
    main()
