"""The two figures: scores with Delta-Q, and the memory test. Means over seeds with 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from experiments import style
from experiments.stored_state.cells import CONTROL, UNROLL, reach
from experiments.stored_state.rows import FIRST, LAST, SCORE, Row, chosen, has, over_seeds
from r2d2.report.intervals import band

COLORS = {"zero": style.ORANGE, "stored": style.BLUE, "refreshed": style.GREEN, CONTROL: style.BLACK}
ANY, WHOLE = style.PINK, "whole episodes, zero state"
SEES = "any state, burn-in sees the cue"
DASHES = ("-", "--", ":", "-.")  # by burn-in


def draw(curve: Sequence[Row], score: Sequence[Row], memoryless: float, path: Path) -> None:
    """Scores against burn-in for each delay, then curves and Delta-Q of the longest delay.

    On a task without delays (a game) there are only the latter.
    """
    delays = sorted({row["delay"] for row in score})
    games = delays == [0]
    above = [] if games else delays
    with style.styled():
        figure, axes = style.panels(len(above) + 3)
        for axis, delay in zip(axes, above, strict=False):
            _against_burn_in(axis, chosen(score, delay=delay), delay, memoryless)
        last = axes[len(above) :]
        own = chosen(curve, delay=delays[-1])
        where = "" if games else f", delay {delays[-1]}"
        _over_time(last[0], own, SCORE, control=not games)
        last[0].set(title=f"Return{where}", ylabel="greedy return")
        for axis, name, step in ((last[1], FIRST, "first"), (last[2], LAST, "last")):
            _over_time(axis, own, name, control=False)
            axis.set(title=f"Delta-Q, {step} trained step{where}", ylabel="Delta-Q", yscale="log")
        _name_dashes(last[0], own)
        style.finish(figure, axes, path)


def _name_dashes(axis: Axes, rows: Sequence[Row]) -> None:
    """Name the dash patterns, which stand for burn-in, in the legend."""
    lengths = sorted({row["burn_in"] for row in rows})
    for dash, length in zip(DASHES, lengths, strict=False):
        axis.plot([], [], dash, color=style.GRAY, label=f"burn-in {length}")


def _against_burn_in(axis: Axes, score: Sequence[Row], delay: int, memoryless: float) -> None:
    for number, strategy in enumerate(name for name in COLORS if name != CONTROL):
        own = chosen(score, strategy=strategy)
        lengths = sorted({row["burn_in"] for row in own})
        if not lengths:
            continue
        found = np.array([over_seeds(chosen(own, burn_in=length), "score") for length in lengths])  # [L, 3]
        at = np.array(lengths) + 0.25 * (number - 1)  # beside each other, or they hide each other
        error = np.abs(found[:, 1:].T - found[:, 0])
        axis.errorbar(at, found[:, 0], error, color=COLORS[strategy], marker="o", capsize=3, label=strategy)
    control = chosen(score, strategy=CONTROL)
    if control:
        mean = over_seeds(control, "score").mean
        axis.axhline(mean, color=COLORS[CONTROL], ls="-", lw=1, zorder=0, label=WHOLE)
    axis.axhline(memoryless, color="black", ls=":", lw=1, label="best without memory")
    where = "inside the window" if delay + 2 <= UNROLL else "outside the window"
    title = f"Delay {delay}: {'just ' if delay + 2 == UNROLL + 1 else ''}{where}"
    axis.set(title=title, xlabel="burn-in, steps", ylabel="score, greedy return", ylim=(-0.35, 1.1))
    axis.set_xticks(sorted({row["burn_in"] for row in score}))


def _over_time(axis: Axes, curve: Sequence[Row], name: str, *, control: bool) -> None:
    for line in _lines(curve):
        own = [row for row in line.rows if has(row, name)]
        if line.label == WHOLE and not control:
            continue
        if not own or (name != SCORE and not any(row[name] > 0 for row in own)):
            continue  # nothing to see: a stored state without burn-in is the actor's own
        points, found = _band(own, name)
        axis.plot(points, found[0], line.dash, color=line.color, lw=1.4, label=line.label)
        axis.fill_between(points, found[1], found[2], color=line.color, alpha=0.10, lw=0)
    style.steps_axis(axis)


class Line(NamedTuple):
    """One setting in a figure."""

    label: str
    color: str
    dash: str
    rows: list[Row]


def _lines(rows: Sequence[Row]) -> list[Line]:
    """The settings of one delay. Those whose windows begin with the episode are the same runs, and drawn once."""
    lines = []
    lengths = sorted({row["burn_in"] for row in rows})
    for strategy, color in COLORS.items():
        for dash, length in zip(DASHES, lengths, strict=False):
            own = chosen(rows, strategy=strategy, burn_in=length)
            whole = bool(own) and own[0]["delay"] > 0 and length >= reach(own[0]["delay"])
            if not own or (whole and strategy not in ("zero", CONTROL)):
                continue
            if strategy == CONTROL:
                lines.append(Line(WHOLE, color, "-", own))
            elif whole:
                lines.append(Line(SEES, ANY, dash, own))
            else:
                lines.append(Line(strategy, color, dash, own))
    return lines


def _band(rows: Sequence[Row], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Moments [P] and mean, low and high [3, P]; between its own moments, a seed's curve is a straight line."""
    seeds = sorted({row["seed"] for row in rows})
    own = [chosen(rows, seed=seed) for seed in seeds]
    steps = [[row["env_steps"] for row in lines] for lines in own]
    points = np.array(sorted({at for moments in steps for at in moments}), np.float64)
    points = points[(points >= max(m[0] for m in steps)) & (points <= min(m[-1] for m in steps))]
    if len(points) == 0:
        return points, np.zeros((3, 0))
    values = [[row[name] for row in lines] for lines in own]
    return points, band([np.interp(points, m, v) for m, v in zip(steps, values, strict=True)])


def draw_memory(rows: Sequence[Row], path: Path) -> None:
    """Figure 5's memory test for the longest delay: how a policy does with only its last k observations."""
    delay = max(row["delay"] for row in rows)
    own = chosen(rows, delay=delay)
    whole = max(row["history"] for row in own) + 1  # where the unlimited memory is drawn
    panels = (
        ("score", "Return with a short memory", "greedy return"),
        ("max_q_difference", "Difference of max Q", "|short - whole| / whole"),
        ("equal_actions", "Equal greedy actions", "share of steps"),
    )
    with style.styled():
        figure, axes = style.panels(len(panels))
        for axis, (name, title, label) in zip(axes, panels, strict=False):
            for line in _lines(own):
                ks = sorted({row["history"] for row in line.rows}, key=lambda k: k or whole)
                found = np.array([over_seeds(chosen(line.rows, history=k), name) for k in ks])
                at = [k or whole for k in ks]
                axis.plot(at, found[:, 0], line.dash, color=line.color, lw=1.4, label=line.label)
                axis.fill_between(at, found[:, 1], found[:, 2], color=line.color, alpha=0.10, lw=0)
            axis.set(title=title, xlabel=f"last k observations ({whole}: all)", ylabel=label)
        _name_dashes(axes[0], own)
        style.finish(figure, axes, path)
