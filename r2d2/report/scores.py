"""Scores over tasks: human-normalized Atari scores, interquartile means and performance profiles.

After Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice". The runs of each
task are resampled separately, so the spread between tasks does not count as uncertainty.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from r2d2.report.intervals import LEVEL, Interval, iqm
from r2d2.report.settings import Setting

RESAMPLES = 2000  # ours, as rliable's default
THRESHOLDS = 101  # points of a profile; ours

Scores = Mapping[str, Sequence[float]]  # task -> one score per run


@dataclass(frozen=True)
class Human:
    """Mean scores of random play and of a professional games tester, up to 30 no-ops at the start.

    From Mnih et al. 2015 (extended data table 2) and, for games missing there, Wang et al. 2016 (table 2).
    """

    random: float
    human: float

    def normalized(self, score: float) -> float:
        """0 is random play, 1 is the tester.

        >>> Human(random=-20.7, human=14.6).normalized(20.0)
        1.152...
        """
        return (score - self.random) / (self.human - self.random)


@cache
def atari() -> dict[str, Human]:
    """The 57 games, by the name in their id, as `Pong` for `ALE/Pong-v5`."""
    with resources.files(__package__).joinpath("atari_scores.csv").open() as file:
        return {r["game"]: Human(float(r["random"]), float(r["human"])) for r in csv.DictReader(file)}


def human(env_id: str) -> Human | None:
    """The scores of a game; None if it is not one of the 57."""
    space, _, name = env_id.rpartition("/")
    return atari().get(name.partition("-")[0]) if space == "ALE" else None


def normalized(settings: Sequence[Setting]) -> tuple[dict[str, dict[str, list[float]]], str]:
    """Final scores as label -> task -> one per run, and what 0 and 1 mean.

    Human-normalized if all tasks are among the 57 games; otherwise from the lowest to the highest score of each
    task in this report. A run without a score is left out.
    """
    final = {(s.label, s.task): [run.final for run in s.runs if run.final is not None] for s in settings}
    tasks = {s.task: s.runs[0].config.env.id for s in settings}
    games = {task: human(env_id) for task, env_id in tasks.items()}
    if all(games.values()):
        bounds = {task: (game.random, game.human) for task, game in games.items() if game is not None}
        meaning = "human-normalized: 0 is random play, 1 a professional games tester"
    else:
        own = {task: [v for (_, t), values in final.items() if t == task for v in values] for task in tasks}
        bounds = {task: (min(values), max(values)) for task, values in own.items() if values}
        meaning = "0 is the lowest, 1 the highest final score of each task in this report"
    found: dict[str, dict[str, list[float]]] = {}
    for (label, task), values in final.items():
        if values:
            low, high = bounds[task]
            found.setdefault(label, {})[task] = [(v - low) / ((high - low) or 1.0) for v in values]
    return found, meaning


def interquartile_mean(scores: Scores, seed: int = 0) -> Interval:
    """The mean of the middle half of all runs of all tasks, and its stratified bootstrap interval.

    >>> interquartile_mean({"a": [0.0, 1.0], "b": [1.0, 9.0]}).mean
    1.0
    """
    estimate = float(iqm(np.concatenate([np.asarray(values, np.float64) for values in scores.values()])))
    if max(len(values) for values in scores.values()) == 1:
        return Interval(estimate, float("nan"), float("nan"))
    low, high = _ends(iqm(_resampled(scores, seed)))
    return Interval(estimate, float(low), float(high))


def profile(scores: Scores, thresholds: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """Share of runs with a score above each threshold [P], averaged over tasks, low and high [3, P].

    >>> profile({"a": [0.2, 0.8], "b": [0.8]}, np.array([0.0, 0.5, 1.0]))[0].tolist()
    [1.0, 0.75, 0.0]
    """
    shares = [_above(np.asarray(values, np.float64), thresholds) for values in scores.values()]
    mean = np.mean(shares, axis=0)
    if max(len(values) for values in scores.values()) == 1:
        return np.stack([mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)])
    rng = np.random.default_rng(seed)
    drawn = [_above(_draw(np.asarray(values), rng), thresholds) for values in scores.values()]  # each [R, P]
    return np.concatenate([mean[None], _ends(np.mean(drawn, axis=0))])


def thresholds(scores: Mapping[str, Scores]) -> NDArray[np.float64]:
    """From the lowest to the highest score of all labels, including 0 and 1."""
    values = [v for tasks in scores.values() for runs in tasks.values() for v in runs]
    return np.linspace(min(0.0, *values), max(1.0, *values), THRESHOLDS)


def _draw(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return values[rng.integers(len(values), size=(RESAMPLES, len(values)))]


def _resampled(scores: Scores, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return np.concatenate([_draw(np.asarray(values, np.float64), rng) for values in scores.values()], axis=1)


def _above(values: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    return (values[..., None] > thresholds).mean(-2)


def _ends(resampled: NDArray[np.float64]) -> NDArray[np.float64]:
    tail = 100 * (1 - LEVEL) / 2
    return np.asarray(np.percentile(resampled, [tail, 100 - tail], axis=0))
