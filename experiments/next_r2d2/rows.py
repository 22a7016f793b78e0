"""What comes out of the runs: curves, scores and, against the base, normalized scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from experiments.next_r2d2.cells import TASKS
from experiments.processor_time import processor_seconds
from experiments.stored_state.rows import SCORE, has
from experiments.study import Job, gather
from r2d2.report.intervals import Interval, interval, iqm

Row = dict[str, Any]

FINAL = 3  # evaluations, the last ones, whose mean is a run's score; ours


def curves(jobs: Iterable[Job]) -> list[Row]:
    """Every evaluation of the finished runs, and the CPU seconds until then: a share of the run's."""
    rows = []
    for job in jobs:
        own = [row for row in gather([job], [SCORE]) if has(row, SCORE)]
        if own:
            whole = processor_seconds(job.run_dir)
            for row in own:
                head = {name: row[name] for name in ("task", "variant", "seed", "env_steps")}
                seconds = round(whole * row["env_steps"] / own[-1]["env_steps"], 1)
                rows.append(head | {"score": round(row[SCORE], 4), "cpu_seconds": seconds})
    return rows


def score(own: Sequence[Row], seconds: float = math.inf) -> float:
    """The mean of the last evaluations of a run within so many CPU seconds; of its first one, if none is; NaN where
    the seconds are not known.

    >>> own = [{"score": s, "cpu_seconds": 10 * s} for s in (1.0, 2.0, 3.0, 4.0)]
    >>> score(own), score(own, 20.0)
    (3.0, 1.5)
    """
    if seconds != math.inf and math.isnan(seconds + own[-1]["cpu_seconds"]):
        return math.nan
    within = [row["score"] for row in own if row["cpu_seconds"] <= seconds] or [own[0]["score"]]
    return float(np.mean(within[-FINAL:]))


def scores(curve: Sequence[Row]) -> list[Row]:
    """One row a run: its score, that within the CPU seconds that the base takes on the task in the mean, both also
    normalized, so that random actions have 0 and the base's mean has 1."""
    runs: dict[tuple[str, str, int], list[Row]] = {}
    for row in curve:
        runs.setdefault((row["task"], row["variant"], row["seed"]), []).append(row)
    base: dict[str, list[list[Row]]] = {}
    for (task, variant, _), own in runs.items():
        if variant == "base":
            base.setdefault(task, []).append(own)
    rows = []
    for (task, variant, seed), own in runs.items():
        if task not in base:
            continue
        seconds = float(np.nanmean([other[-1]["cpu_seconds"] for other in base[task]]))
        one, zero = float(np.mean([score(other) for other in base[task]])), TASKS[task].random
        found = {"score": score(own), "same_time": score(own, 1.001 * seconds)}  # not less for rounding
        unit = one - zero if one > zero else math.nan  # a base that has learned nothing is no unit
        normal = {f"normalized_{name}": (value - zero) / unit for name, value in found.items()}
        head: Row = {"task": task, "variant": variant, "seed": seed}
        rows.append(head | found | normal | {"cpu_seconds": own[-1]["cpu_seconds"]})
    return rows


def pooled(rows: Sequence[Row], tasks: Sequence[str], variant: str, column: str) -> Interval | None:
    """The interquartile mean over the tasks' seeds with its stratified bootstrap interval.

    None unless each task has the same number of seeds, at least one, and a base that has learned something.
    """
    table = [[row[column] for row in rows if (row["task"], row["variant"]) == (t, variant)] for t in tasks]
    counts = {len(values) for values in table}
    if len(counts) != 1 or 0 in counts or not np.isfinite(table).all():
        return None
    return interval(np.array(table).T, statistic=iqm)
