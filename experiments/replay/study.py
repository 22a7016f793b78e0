"""Study: one published experiment, repeated with our replay, as described to the runner.

A new study is a module of this package with a value `STUDY`, and its name in `STUDIES` below.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes

from experiments.style import VEIL
from r2d2.report.intervals import Interval, interval

Tier = Literal["quick", "full"]
Row = dict[str, Any]  # one line of the CSV file: text and numbers

# The modules of this package that hold a study, in the order of the summary page.
STUDIES = (
    "cliffwalk",
    "weights",
    "combined",
    "random_walk",
    "bit_flipping",
    "hindsight_sequences",
    "forgetting",
    "changing_task",
    "deadly_triad",
    "apex_priorities",
    "pendulum",
)


@dataclass(frozen=True)
class Verdict:
    """The outcome. `holds`: the published shape is reproduced; `note` says where ours differs from it."""

    holds: bool
    ours: str
    note: str = ""


@dataclass(frozen=True)
class Study:
    """`run(tier, seed)` gives the rows of one seed; `plot` and `verdict` see the rows of all seeds.

    Rows keep their order within a seed; the runner adds the column `seed`. `seeds` is the number of seeds of
    each tier, `panels` the number of axes that `plot` gets.
    """

    name: str
    method: str
    experiment: str
    question: str
    published: str  # the shape that is expected, and its source
    seeds: Mapping[Tier, int]
    run: Callable[[Tier, int], list[Row]]
    plot: Callable[[list[Row], Sequence[Axes]], None]
    verdict: Callable[[list[Row]], Verdict]
    panels: int = 1

    def quick(self) -> list[Row]:
        """The rows of the quick tier, all seeds, in this process."""
        return [
            row | {"seed": seed} for seed in range(self.seeds["quick"]) for row in self.run("quick", seed)
        ]


def load(name: str) -> Study:
    """The study of that name; ValueError if there is none."""
    if name not in STUDIES:
        raise ValueError(f"study must be one of {', '.join(STUDIES)}, got {name!r}")
    study = importlib.import_module(f"experiments.replay.{name}").STUDY
    assert isinstance(study, Study)
    return study


def run_seed(name: str, tier: Tier, seed: int) -> tuple[list[Row], float]:
    """One seed's rows and seconds of CPU time; here because a new process cannot import `__main__`."""
    started = time.process_time()
    return load(name).run(tier, seed), time.process_time() - started


def select(rows: list[Row], **wanted: Any) -> list[Row]:
    """The rows whose columns have these values."""
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def distinct(rows: list[Row], column: str) -> list[Any]:
    """The different values of a column, in the order in which they first appear."""
    return list(dict.fromkeys(row[column] for row in rows))


def over_seeds(rows: list[Row], column: str, **wanted: Any) -> Interval:
    """Mean of a column over the seeds and its 95 % interval; exactly one row per seed must match."""
    found = select(rows, **wanted)
    if len(found) != len(distinct(found, "seed")) or not found:
        raise ValueError(f"{wanted} must match one row a seed, got {len(found)} rows")
    return interval([row[column] for row in found])


def curve(
    axis: Axes, rows: list[Row], x: str, y: str, *, label: str, color: str, style: str = "-", **wanted: Any
) -> None:
    """y against x: means over the seeds with their 95 % interval as a band."""
    chosen = select(rows, **wanted)
    points = sorted(distinct(chosen, x))
    means = np.array([over_seeds(chosen, y, **{x: point}) for point in points])  # [P, 3]
    axis.plot(points, means[:, 0], style, color=color, label=label)
    axis.fill_between(points, means[:, 1], means[:, 2], color=color, **VEIL)
