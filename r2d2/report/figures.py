"""The figures of a report: learning curves, scores over tasks, diagnostics of learner and replay."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from r2d2.report import scores as statistics
from r2d2.report.curves import curve
from r2d2.report.figure import STEPS, Dot, Figure, Heat, Line
from r2d2.report.run import GREEDY, TRAINING, Run
from r2d2.report.settings import Setting
from r2d2.tracking.names import METRICS

PRIORITIES = "replay/priorities"
ROWS = 40  # of a heat map of priorities; ours


class Diagnostic(NamedTuple):
    """A figure of one metric."""

    title: str
    metric: str
    log_y: bool = False


DIAGNOSTICS = (
    Diagnostic("Loss", "learner/loss", log_y=True),
    Diagnostic("TD error", "learner/td_error", log_y=True),
    Diagnostic("Q value of the actions taken", "learner/q_mean"),
    Diagnostic("Gradient norm, before clipping", "learner/gradient_norm", log_y=True),
    Diagnostic("Age of drawn items", "replay/age"),
    Diagnostic("Parameter lag of drawn items", "replay/parameter_lag"),
    Diagnostic("Delta-Q at the first trained step", "replay/delta_q_first", log_y=True),
    Diagnostic("Delta-Q at the last trained step", "replay/delta_q_last", log_y=True),
    Diagnostic("Replay ratio", "replay/ratio"),
    Diagnostic("Replay fill", "replay/fill"),
    Diagnostic("Throughput: environment steps", "time/env_steps_per_second"),
    Diagnostic("Throughput: updates", "time/updates_per_second"),
    Diagnostic("Memory of the replay", "memory/replay_bytes"),
    Diagnostic("Episode length, training", "train/mean_length"),
)


def slug(text: str) -> str:
    """A text as part of a file name.

    >>> slug("ALE/Pong-v5 (delay=3)")
    'ale-pong-v5-delay-3'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def colors(settings: Sequence[Setting]) -> dict[str, int]:
    """The color index of each label, the same in all figures of a report."""
    return {label: number for number, label in enumerate(dict.fromkeys(s.label for s in settings))}


def learning(
    settings: Sequence[Setting], palette: Mapping[str, int], goal: float | None = None
) -> list[Figure]:
    """Greedy and training returns of the settings of one task, over steps and over minutes; `goal` is marked."""
    task = settings[0].task
    figures = [
        Figure(
            f"{slug(task)}-return-{clock}",
            f"{task}: return over {unit}",
            label,
            "return, undiscounted",
            _returns(settings, palette, "env_steps" if clock == "steps" else "wall_seconds"),
            mark=goal,
            caption=_seeds(settings),
        )
        for clock, unit, label in (("steps", "steps", STEPS), ("minutes", "time", "minutes of training"))
    ]
    return [figure for figure in figures if figure.lines]


def _returns(settings: Sequence[Setting], palette: Mapping[str, int], clock: str) -> list[Line]:
    greedy = any(run.points(GREEDY)[1] for setting in settings for run in setting.runs)
    lines = []
    for setting in settings:
        for name, what in ((GREEDY, "greedy"), (TRAINING, "training")):
            line = _line(setting, palette, name, clock)
            if line is not None:
                first = name == GREEDY or not greedy
                lines.append(
                    replace(
                        line,
                        label=f"{setting.label}, {what}",
                        dash="solid" if name == GREEDY else "dot",
                        markers=name == GREEDY,
                        shown=first,
                    )
                )
    return lines


def _line(setting: Setting, palette: Mapping[str, int], name: str, clock: str = "env_steps") -> Line | None:
    found = curve(setting.runs, name, clock)
    if found is None:
        return None
    scale = 1 / 60 if clock == "wall_seconds" else 1.0
    return Line(
        setting.label,
        palette[setting.label],
        found.at * scale,
        found.mean,
        found.low,
        found.high,
        seeds=[(at * scale, values) for at, values in found.seeds] if len(found.seeds) > 1 else [],
    )


def _seeds(settings: Sequence[Setting]) -> str:
    counts = sorted({len(setting.runs) for setting in settings})
    if counts == [1]:
        return "One seed each: there is no interval."
    shown = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"Mean over {shown} seeds with 95 % bootstrap intervals; thin lines are seeds."


def diagnostics(settings: Sequence[Setting], palette: Mapping[str, int]) -> list[Figure]:
    """Diagnostics of learner and replay for the settings of one task, over steps."""
    task, figures = settings[0].task, []
    for title, metric, log_y in DIAGNOSTICS:
        lines = [line for s in settings if (line := _line(s, palette, metric)) is not None]
        if lines:
            unit, meaning = METRICS[metric]
            y = re.split(",| at ", title)[0] if unit == "1" else unit
            log_y = log_y and all((line.y > 0).all() for line in lines)
            name = f"{slug(task)}-{slug(metric)}"
            figures.append(Figure(name, title, STEPS, y, lines, log_y=log_y, caption=meaning))
    return figures


def priorities(run: Run, label: str) -> Figure | None:
    """The distribution of a run's priorities at each evaluation; None if it was not logged."""
    found = [(r["env_steps"], r[PRIORITIES]) for r in run.records if isinstance(r.get(PRIORITIES), dict)]
    found = [(steps, histogram) for steps, histogram in found if sum(histogram["counts"]) > 0]
    if not found:
        return None
    tops = [histogram["edges"][-1] for _, histogram in found]
    edges = np.geomspace(max(max(tops), 1e-9) * 1e-4, max(max(tops), 1e-9) * 1.001, ROWS + 1)
    columns = [_rebinned(h["counts"], h["edges"], edges) for _, h in found]
    return Figure(
        f"{slug(run.name)}-priorities",
        f"Priorities: {label}, seed {run.seed}",
        STEPS,
        "priority",
        heat=Heat(np.array([steps for steps, _ in found], np.float64), edges, np.array(columns).T),
        log_y=True,
        caption="Share of the items in each row of priorities, which are logarithmic, at each evaluation. What is "
        "below the lowest row is counted in it.",
    )


def _rebinned(counts: Sequence[int], edges: Sequence[float], new: np.ndarray) -> np.ndarray:
    """Shares of a histogram in other bins; values are taken to be spread evenly within its own bins."""
    cumulated = np.concatenate([[0.0], np.cumsum(np.asarray(counts, np.float64))])
    at = np.interp(new, np.asarray(edges, np.float64), cumulated)
    at[0] = 0.0
    return np.diff(at) / cumulated[-1]


def over_tasks(settings: Sequence[Setting], palette: Mapping[str, int]) -> list[Figure]:
    """Interquartile means and performance profiles, if there are several tasks."""
    if len({setting.task for setting in settings}) < 2:
        return []
    found, meaning = statistics.normalized(settings)
    count = len({setting.task for setting in settings})
    found = {label: tasks for label, tasks in found.items() if len(tasks) == count}
    if not found:
        return []
    dots = []
    for label, tasks in found.items():
        mean, low, high = statistics.interquartile_mean(tasks)
        dots.append(Dot(label, palette[label], mean, low, high))
    taus = statistics.thresholds(found)
    lines = [
        Line(label, palette[label], taus, *statistics.profile(tasks, taus)) for label, tasks in found.items()
    ]
    caption = f"{count} tasks; {meaning}. Stratified bootstrap, 95 %. Only settings with all tasks."
    return [
        Figure(
            "interquartile-mean",
            "Interquartile mean over tasks",
            "normalized score",
            "",
            dots=dots,
            caption=caption,
        ),
        Figure(
            "performance-profile",
            "Performance profile",
            "normalized score",
            "share of runs above it",
            lines,
            caption=caption,
        ),
    ]
