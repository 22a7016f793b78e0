"""Combined replay: does a large buffer slow learning down, and does one newest item in each batch fix it?

Zhang & Sutton (2017), sections 4 and 5.1: a grid world with walls, fixed start and goal, reward -1 a step,
tabular Q from 0 (optimistic), epsilon 0.1, batches of 10, buffers of 1e2 to 1e6 transitions, episodes of at
most 5000 steps, and Q bootstraps at that limit. Prediction: uniform replay takes clearly more steps an
episode as the buffer grows, since recent transitions are replayed late; with the newest transition in each
batch the size of the buffer hardly matters.

Their limit is hardly ever reached. A second task has a tight one, to show the effect of treating the limit as
a termination: each cut episode leaves a transition that seems to reach the goal, a small buffer soon forgets
it, a large one keeps replaying it. Prediction (Pardo et al. 2018): the value of the start is overestimated,
the more so the larger the buffer, and bootstrapping at the limit finds the true one.

A transition is complete when the row after it is written, so learning lags acting by one decision, for all
methods alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numba import njit
from numpy.typing import NDArray

from experiments.replay.steps import step_replay
from experiments.replay.study import Row, Study, Tier, Verdict, curve, distinct, over_seeds, select
from experiments.style import GRAY, ORANGE
from r2d2.replay import Batch, Combined, Replay, Uniform

EPSILON, BATCH = 0.1, 10  # their section 4
STEP = 0.1  # ours
MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """A grid from corner to corner; `rooms`: four of them, with a door in each wall between two."""

    side: int  # cells
    rooms: bool
    limit: int  # steps of an episode
    episodes: int
    capacities: tuple[int, ...]  # transitions
    limits: tuple[str, ...] = ("bootstraps",)  # what the time limit does to the target, or "ends"

    @property
    def shortest(self) -> int:
        """Steps from start to goal; no wall makes the way longer."""
        return 2 * (self.side - 1)


# Sizes are ours, so that the largest runs take seconds.
TASKS: dict[Tier, dict[str, Task]] = {
    "quick": {
        "rooms": Task(8, True, 5000, 20, (100, 2000)),
        "tight limit": Task(5, False, 12, 200, (100, 10_000), ("bootstraps", "ends")),
    },
    "full": {
        "rooms": Task(14, True, 5000, 100, (100, 1000, 10_000, 100_000, 1_000_000)),
        "tight limit": Task(8, False, 20, 1000, (100, 1000, 10_000, 100_000), ("bootstraps", "ends")),
    },
}
METHODS = {"uniform": GRAY, "combined": ORANGE}
STYLES = {"bootstraps": "-", "ends": "--"}


def grid(task: Task) -> Ints:
    """The cell [cells, 4] after each action; walls and the border leave one where one is."""
    side, middle = task.side, task.side // 2
    wall = np.zeros((side, side), np.bool_)
    if task.rooms:
        wall[middle], wall[:, middle] = True, True
        near, far = side // 4, middle + 1 + side // 4
        wall[middle, [near, far]] = wall[[near, far], middle] = False
    after = np.empty((side, side, 4), np.int64)
    for row, column in np.ndindex(side, side):
        for action, (down, right) in enumerate(MOVES):
            y, x = row + down, column + right
            free = 0 <= y < side and 0 <= x < side and not wall[y, x]
            after[row, column, action] = y * side + x if free else row * side + column
    return after.reshape(-1, 4)


@njit(cache=True)
def act(q, cell, points):
    """Epsilon-greedy, by three points in [0, 1); ties are broken evenly."""
    if points[0] < EPSILON:
        return int(points[1] * 4)
    best = np.flatnonzero(q[cell] == q[cell].max())
    return best[int(points[2] * len(best))]


@njit(cache=True)
def learn(q, cells, actions, ends):
    """Q-learning, one transition after the other: cells [B, 2] from and to, no discount."""
    for i in range(len(actions)):
        target = -1.0 if ends[i] else q[cells[i, 1]].max() - 1.0
        q[cells[i, 0], actions[i]] += STEP * (target - q[cells[i, 0], actions[i]])


class Agent:
    """Q values, a replay, and the task that it plays."""

    def __init__(self, task: Task, method: str, limit: str, capacity: int, rng: np.random.Generator) -> None:
        inner = Uniform(capacity)
        selector = Combined(inner, capacity=capacity, streams=1) if method == "combined" else inner
        columns = {"cell": "int64", "action": "int64", "terminated": "bool", "truncated": "bool"}
        self.replay: Replay = step_replay(columns, capacity, selector)
        self.task, self.after, self.rng, self.ends = task, grid(task), rng, limit == "ends"
        self.q = np.zeros(self.after.shape)
        self._row = {name: np.zeros(1, dtype) for name, dtype in columns.items()}
        self._out: Batch | None = None

    def episode(self) -> tuple[int, bool]:
        """Play one and learn from it; returns its steps, and whether the limit cut it."""
        cell, steps, goal = 0, 0, len(self.q) - 1
        points = self.rng.random((self.task.limit, 3))
        while True:
            action = act(self.q, cell, points[steps])
            steps += 1
            reached = self.after[cell, action] == goal
            cut = not reached and steps == self.task.limit
            self._write(cell, action, reached, cut, False)
            cell = self.after[cell, action]
            if reached or cut:
                self._write(cell, 0, False, False, True)
            self._learn()
            if reached or cut:
                return steps, cut

    def _write(self, *values: int) -> None:
        for column, value in zip(self._row.values(), values, strict=False):
            column[0] = value
        self.replay.write(self._row, np.array([values[-1]], np.bool_))

    def _learn(self) -> None:
        if len(self.replay):
            self._out = self.replay.sample(BATCH, self.rng, out=self._out)
            columns = self._out.columns
            ends = columns["terminated"][:, 0]
            if self.ends:
                ends = ends | columns["truncated"][:, 0]
            learn(self.q, columns["cell"], columns["action"][:, 0], ends)


def run(tier: Tier, seed: int) -> list[Row]:
    """Every task, treatment of its limit, method and capacity."""
    rows = []
    for name, task in TASKS[tier].items():
        for limit in task.limits:
            for number, method in enumerate(METHODS):
                for capacity in task.capacities:
                    agent = Agent(task, method, limit, capacity, np.random.default_rng([seed, number]))
                    steps, cut = zip(*(agent.episode() for _ in range(task.episodes)), strict=True)
                    rows.append({
                        "task": name, "limit": limit, "method": method, "capacity": capacity,
                        "episodes": task.episodes, "steps": float(np.mean(steps)), "cut": float(np.mean(cut)),
                        "value": float(agent.q[0].max()), "truth": -task.shortest,
                    })  # fmt: skip
    return rows


def plot(rows: list[Row], axes: Sequence[Axes]) -> None:
    """Steps per episode, and the value of the start under a tight limit, against the buffer size."""
    for axis, task, column in zip(axes, ("rooms", "tight limit"), ("steps", "value"), strict=True):
        limits = distinct(select(rows, task=task), "limit")
        for limit in limits:
            for method, color in METHODS.items():
                label = method if limit == limits[0] else "_the same, dashed"
                curve(axis, rows, "capacity", column, label=label, color=color,
                      style=STYLES[limit], task=task, limit=limit, method=method)  # fmt: skip
        axis.set_xscale("log")
        axis.set_xlabel("transitions that the buffer has room for")
    first, tight = select(rows, task="rooms")[0], select(rows, task="tight limit")[0]
    axes[0].set_ylim(bottom=0)
    axes[0].set_ylabel("steps per episode")
    axes[0].set_title(f"four rooms, first {first['episodes']} episodes")
    axes[1].axhline(tight["truth"], color="0.5", ls=":", lw=1.2, label="true value")
    axes[1].set_ylabel("value of the start")
    axes[1].set_title(f"tight limit, {tight['episodes']} episodes\nsolid: bootstraps, dashed: ends")


def verdict(rows: list[Row]) -> Verdict:
    """Uniform gets worse with the buffer, combined does not; bootstrapping keeps the value true."""
    uniform, combined = (_means(rows, "steps", "rooms", "bootstraps", method) for method in METHODS)
    truth = select(rows, task="tight limit")[0]["truth"]
    value = {limit: _means(rows, "value", "tight limit", limit, "uniform") for limit in STYLES}
    ends, bootstraps = (abs(value[limit][-1] - truth) for limit in ("ends", "bootstraps"))
    holds = (
        uniform[-1] > 1.25 * uniform[0]
        and max(combined) < 1.15 * combined[0]
        and ends > abs(value["ends"][0] - truth) + 0.05 * abs(truth)
        and bootstraps < 0.3 * ends
    )
    large = distinct(select(rows, task="rooms"), "capacity")[-1]
    return Verdict(
        bool(holds),
        f"steps an episode from the smallest buffer to {large:,}: uniform {uniform[0]:.0f} to {uniform[-1]:.0f} "
        f"(most {max(uniform):.0f}), combined {combined[0]:.0f} to {combined[-1]:.0f}; value of the start (true "
        f"{truth:g}) in the largest buffer: {value['ends'][-1]:.1f} if the limit ends, "
        f"{value['bootstraps'][-1]:.1f} if it bootstraps",
        _note(rows, uniform),
    )


def _means(rows: list[Row], column: str, task: str, limit: str, method: str) -> list[float]:
    """Over the seeds, for every capacity."""
    chosen = select(rows, task=task, limit=limit, method=method)
    return [over_seeds(chosen, column, capacity=capacity).mean for capacity in distinct(chosen, "capacity")]


def _note(rows: list[Row], uniform: list[float]) -> str:
    cut = max(row["cut"] for row in select(rows, task="rooms"))
    note = "grids, the tight limit and the step size are ours. "
    if max(uniform) > 1.1 * uniform[-1]:
        note += (
            "Uniform is worst at a buffer between the ends, where the paper's gets worse throughout: the largest "
            "never overflow here, and keep the first goals that were found. "
        )
    return note + (
        "As in the paper the first task bootstraps at a limit of 5000 steps, which at most "
        f"{cut:.1%} of a run's episodes reach: the harm of a large buffer is not the limit's. Where the limit is "
        "tight, taking it for an end adds a harm of its own, and bootstrapping takes it away."
    )


STUDY = Study(
    name="combined",
    method="combined replay",
    experiment="tabular grid world",
    question=(
        "Does a large buffer slow learning down, and does one newest transition in each batch mend it? "
        "And what if a time limit is taken for an end?"
    ),
    published="uniform clearly worse as the buffer grows, combined flat (Zhang & Sutton 2017, section 5.1); "
    "values true only if Q bootstraps at a time limit (Pardo et al. 2018)",
    seeds={"quick": 2, "full": 6},
    run=run,
    plot=plot,
    verdict=verdict,
    panels=2,
)
