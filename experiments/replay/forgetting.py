"""Several tasks in sequence at equal memory: which replay keeps the old ones, and still learns the new ones?

Contextual bandits with the same cues but different right answers in each task, identified by one input; a small
network, all of its weights shared, learns the reward of every answer from batches of its replay. First in,
first out holds only the newest task; a reservoir (Vitter 1985) a uniform sample of all; in a mixture of both, of
half the size each, either gives half of every batch.

Prediction: FIFO forgets the first task, a reservoir keeps it (Isele & Cosgun 2018: matching the global
distribution), but gives a new task a share of the batch that falls with the number of tasks, so that it
learns them more and more slowly; half recent and half long-term does both (CLEAR: Rolnick et al. 2019).

CLEAR also clones the old policy and its values on replayed steps; here only the replay differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from experiments.replay.steps import step_replay, write_bandit
from experiments.replay.study import Row, Study, Tier, Verdict, curve, distinct, over_seeds, select
from experiments.style import BLUE, GRAY, ORANGE, VEIL
from r2d2.replay import Batch, Fifo, Mixture, Remover, Replay, Reservoir, Uniform

# All numbers are ours: small enough for a second a run, and a network that could hold every task at once.
CUES, ANSWERS, WIDTH, HIDDEN = 24, 4, 16, 64
STREAMS, BATCH, EPSILON, STEP = 16, 32, 0.1, 0.5
POINTS = 5  # in each task at which all tasks are measured
SHARE = 0.5  # of a batch that is recent (CLEAR)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """The sizes of one tier."""

    tasks: int
    updates: int  # in each task, one for each action of every stream
    capacity: int  # items


SIZES: dict[Tier, Size] = {"quick": Size(3, 300, 800), "full": Size(5, 1000, 2000)}
METHODS = {"fifo": GRAY, "reservoir": BLUE, "mixture": ORANGE}


class Network:
    """One hidden layer; [B, inputs] -> values of all answers [B, ANSWERS]."""

    def __init__(self, inputs: int, rng: np.random.Generator) -> None:
        self.weights = [
            rng.normal(0.0, np.sqrt(2.0 / inputs), (inputs, HIDDEN)),
            np.zeros(HIDDEN),
            rng.normal(0.0, np.sqrt(1.0 / HIDDEN), (HIDDEN, ANSWERS)),
            np.zeros(ANSWERS),
        ]

    def __call__(self, inputs: Floats) -> Floats:
        first, bias, second, offset = self.weights
        values: Floats = np.maximum(inputs @ first + bias, 0.0) @ second + offset
        return values

    def update(self, inputs: Floats, answers: Ints, rewards: Floats) -> None:
        """One step down the gradient of the mean of (value of the answer - reward)^2 / 2."""
        first, bias, second, offset = self.weights
        hidden = np.maximum(inputs @ first + bias, 0.0)
        values = hidden @ second + offset
        chosen = np.arange(len(answers)), answers
        slope = np.zeros_like(values)
        slope[chosen] = (values[chosen] - rewards) / len(answers)
        below = (slope @ second.T) * (hidden > 0.0)
        for weight, gradient in zip(
            self.weights, (inputs.T @ below, below.sum(0), hidden.T @ slope, slope.sum(0)), strict=True
        ):
            weight -= STEP * gradient


def memory(method: str, capacity: int, rng: np.random.Generator) -> Replay | Mixture:
    """A replay of `capacity` items; a mixture's two share them."""

    def part(items: int, remover: Remover) -> Replay:
        columns = {"context": "int64", "answer": "int64", "reward": "float32"}
        return step_replay(columns, items, Uniform(items), remover, streams=STREAMS)

    match method:
        case "fifo":
            return part(capacity, Fifo(capacity))
        case "reservoir":
            return part(capacity, Reservoir(capacity, rng))
        case _:
            half = capacity // 2
            return Mixture([part(half, Fifo(half)), part(half, Reservoir(half, rng))], [SHARE, 1.0 - SHARE])


def contexts(tasks: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """Inputs [tasks * CUES, WIDTH + tasks], the cue's then one of the task's, and right answers [tasks * CUES]."""
    inputs = np.zeros((tasks, CUES, WIDTH + tasks))
    inputs[:, :, :WIDTH] = rng.choice([-1.0, 1.0], (CUES, WIDTH)) / np.sqrt(WIDTH)
    for task in range(tasks):
        inputs[task, :, WIDTH + task] = 1.0  # as long as the cue's part
    return inputs.reshape(tasks * CUES, -1), rng.integers(ANSWERS, size=tasks * CUES)


def learn(method: str, size: Size, seed: int) -> tuple[list[tuple[int, Floats]], int]:
    """Updates made and the greedy answers' mean reward on each task [tasks], at each point; bytes held."""
    rng = np.random.default_rng(seed)  # the same tasks and first weights for all methods
    inputs, right = contexts(size.tasks, rng)
    network = Network(inputs.shape[1], rng)
    replay = memory(method, size.capacity, np.random.default_rng([seed, 1]))
    batch: Batch | None = None
    points, period = [], size.updates // POINTS
    for task, count in product(range(size.tasks), range(1, size.updates + 1)):
        context = task * CUES + rng.integers(CUES, size=STREAMS)
        answer = network(inputs[context]).argmax(1)
        random = rng.random(STREAMS) < EPSILON
        answer[random] = rng.integers(ANSWERS, size=int(random.sum()))
        reward = (answer == right[context]).astype(np.float32)
        write_bandit(replay, {"context": context, "answer": answer, "reward": reward})
        batch = replay.sample(BATCH, rng, out=batch)
        drawn = {name: column[:, 0] for name, column in batch.columns.items()}
        network.update(inputs[drawn["context"]], drawn["answer"], drawn["reward"])
        if count % period == 0:
            found = (network(inputs).argmax(1) == right).reshape(size.tasks, CUES).mean(1)
            points.append((task * size.updates + count, found))
    return points, replay.nbytes


def run(tier: Tier, seed: int) -> list[Row]:
    """Every method: the reward on the first and on the current task, and on all of them, at each point."""
    size, rows = SIZES[tier], []
    for method in METHODS:
        points, held = learn(method, size, seed)
        for updates, reward in points:
            task = (updates - 1) // size.updates
            rows.append({
                "method": method, "updates": updates, "task": task, "first": float(reward[0]),
                "current": float(reward[task]), "seen": float(reward[: task + 1].mean()), "bytes": held,
                **{f"task_{number}": float(value) for number, value in enumerate(reward)},
            })  # fmt: skip
    return rows


def plot(rows: list[Row], axes: Sequence[Axes]) -> None:
    """The first task and the current one over time, and every task at the end."""
    tasks, last = len(distinct(rows, "task")), max(row["updates"] for row in rows)
    for axis, column in zip(axes, ("first", "current"), strict=False):
        for method, color in METHODS.items():
            curve(axis, rows, "updates", column, label=method, color=color, method=method)
        for change in range(1, tasks):
            axis.axvline(change * last / tasks, color="0.6", ls=":", lw=0.9)
        axis.set_xlabel("updates (dotted: the task changes)")
        axis.set_title(f"the {column} task")
    for method, color in METHODS.items():
        chosen = select(rows, method=method, updates=last)
        found = np.array([over_seeds(chosen, f"task_{number}") for number in range(tasks)])
        axes[2].plot(range(1, tasks + 1), found[:, 0], "o-", color=color, label=method, lw=1.6, ms=4)
        axes[2].fill_between(range(1, tasks + 1), found[:, 1], found[:, 2], color=color, **VEIL)
    axes[2].set_xticks(range(1, tasks + 1))
    axes[2].set_xlabel("task, in the order in which they came")
    axes[2].set_title("every task, at the end")
    for axis in axes:
        axis.set(ylim=(0.0, 1.05), ylabel="reward of the best answer")
        axis.axhline(1.0 / ANSWERS, color="0.6", lw=0.8, zorder=0)
    axes[2].text(1.0, 1.0 / ANSWERS - 0.08, "chance", color=GRAY, fontsize=9)


def verdict(rows: list[Row]) -> Verdict:
    """FIFO loses the first task, the reservoir keeps it and is slow on new ones, the mixture does both well."""
    last = max(row["updates"] for row in rows)
    first = {m: over_seeds(rows, "first", method=m, updates=last).mean for m in METHODS}
    seen = {m: over_seeds(rows, "seen", method=m, updates=last).mean for m in METHODS}
    later = [row for row in rows if row["task"] > 0]
    new = {m: float(np.mean([row["current"] for row in select(later, method=m)])) for m in METHODS}
    sizes = [select(rows, method=method)[0]["bytes"] for method in METHODS]
    holds = (
        max(sizes) < 1.06 * min(sizes)
        and first["fifo"] < 0.6
        and min(first["reservoir"], first["mixture"]) > first["fifo"] + 0.2
        and new["mixture"] > new["reservoir"] + 0.15
        and new["mixture"] > new["fifo"] - 0.1
        and max(seen, key=lambda method: seen[method]) == "mixture"
    )
    tasks = len(distinct(rows, "task"))
    text = "; ".join(
        f"{method} {first[method]:.2f} / {new[method]:.2f} / {seen[method]:.2f}" for method in METHODS
    )
    return Verdict(
        bool(holds),
        f"reward on the first task at the end / on each new one while it lasts / on all at the end, {tasks} "
        f"tasks, {min(sizes) / 1000:.0f} kB: {text}",
        f"the reservoir keeps the first task better than the mixture ({first['reservoir']:.2f} to "
        f"{first['mixture']:.2f}), which has half as many old items in half of each batch; it pays for that with "
        "the new ones. CLEAR adds behavior cloning to its replay, which is left out here.",
    )


STUDY = Study(
    name="forgetting",
    method="reservoir, mixture of recent and long-term",
    experiment="tasks one after the other",
    question=(
        "A network learns several tasks one after the other from a small replay. Which replay keeps the old "
        "tasks, and still learns the new ones, at equal bytes?"
    ),
    published="FIFO forgets the first task, a reservoir keeps it (Isele & Cosgun 2018); half recent and half "
    "long-term keeps both (CLEAR: Rolnick et al. 2019)",
    seeds={"quick": 2, "full": 10},
    run=run,
    plot=plot,
    verdict=verdict,
    panels=3,
)
