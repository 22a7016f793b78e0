"""A task that changes at a known step: what does old experience cost, and for which replay is it least?

Contextual bandits with noisy rewards; at the change another answer becomes right in every context. Values are
tabular and learned from batches of the replay: drawn uniformly from a buffer that holds everything, from a
small one, by recency (P ~ exp(-decay * age)), or from the large one that is cleared at the change.

Prediction: with all of the past in each batch, regret lasts about as long as the old task did; a window of
the newest items or an exponential discount of the older ones ends it soon (Garivier & Moulines 2011:
sliding-window and discounted UCB in abruptly changing bandits), at the price of noise while nothing changes:
the best memory is neither the shortest nor the longest. Clearing needs to know of the change, and does best.
The age of the drawn items characterizes each replay: their mean age in updates is known in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numba import njit
from numpy.typing import NDArray

from experiments.replay.steps import step_replay, write_bandit
from experiments.replay.study import Row, Study, Tier, Verdict, curve, distinct, select
from experiments.style import BLUE, GRAY, LIGHT, ORANGE, VEIL
from r2d2.replay import Recency, Replay, Uniform
from r2d2.report.intervals import interval
from r2d2.runtime.meter import Ages

# All numbers are ours.
CONTEXTS, ANSWERS = 20, 4
RIGHT, WRONG = 0.7, 0.3  # probability of a reward
STREAMS, EPSILON, STEP = 16, 0.1, 0.1
BATCH = 256  # 16 times what comes in: values then follow the replay, not the steps of the learner
BIN = 50  # updates over which regret and age are averaged

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Size:
    """How long the task stays unchanged, in updates, and the mean ages of drawn items that are tried."""

    before: int
    after: int
    ages: tuple[int, ...]


SIZES: dict[Tier, Size] = {
    "quick": Size(400, 400, (2, 30)),
    "full": Size(800, 1000, (2, 5, 10, 30, 100, 300)),
}
SHOWN = 30  # updates; the mean age of the runs in the curves
SET = ("small buffer", "recency")  # the methods whose mean age is a number that one sets
COLORS = {"uniform": GRAY, "small buffer": LIGHT, "recency": ORANGE, "cleared": BLUE}


def small_capacity(age: int) -> int:
    """Items of a FIFO buffer whose uniform draws have this mean age in updates, STREAMS items an update.

    >>> small_capacity(30)  # ages 0 to 60
    976
    """
    return (2 * age + 1) * STREAMS


def decay(age: int) -> float:
    """The decay per item for which draws have this mean age: 1 / (exp(d) - 1) for P ~ exp(-d age).

    >>> round(decay(30) * STREAMS, 4)
    0.0328
    """
    return float(np.log1p(1.0 / age)) / STREAMS


@njit(cache=True)
def learn(values, contexts, answers, rewards):
    """One step for each item of a batch, in turn."""
    for i in range(len(answers)):
        values[contexts[i], answers[i]] += STEP * (rewards[i] - values[contexts[i], answers[i]])


def play(method: str, age: int, size: Size, seed: int) -> list[tuple[float, float]]:
    """Mean regret of an action and mean age of a drawn item, in each bin of updates."""
    rng = np.random.default_rng(seed)  # the same task for all methods
    right = rng.integers(ANSWERS, size=CONTEXTS)
    after = (right + rng.integers(1, ANSWERS, size=CONTEXTS)) % ANSWERS
    updates = size.before + size.after
    capacity = small_capacity(age) if method == "small buffer" else updates * STREAMS
    selector = Recency(capacity, decay=decay(age)) if method == "recency" else Uniform(capacity)
    columns = {"context": "int64", "answer": "int64", "reward": "float32"}
    replay = step_replay(columns, capacity, selector, streams=STREAMS)
    ages, batch = Ages(replay.places), None
    values, found = np.zeros((CONTEXTS, ANSWERS)), np.empty((updates, 2))
    for update in range(updates):
        if update == size.before:
            right = after
            if method == "cleared":
                replay.clear()
        ids, regret = _act(replay, values, right, rng)
        ages.insert(ids, updates=update, actor_updates=update)
        batch = replay.sample(BATCH, rng, out=batch)
        drawn = {name: column[:, 0] for name, column in batch.columns.items()}
        learn(values, drawn["context"], drawn["answer"], drawn["reward"])
        found[update] = regret, ages.of(batch.ids, update)["replay/age"]
    return [tuple(means) for means in found.reshape(-1, BIN, 2).mean(1)]


def _act(
    replay: Replay, values: NDArray[np.float64], right: Ints, rng: np.random.Generator
) -> tuple[Ints, float]:
    """One epsilon-greedy action in each stream; the ids of the items and the mean regret."""
    context = rng.integers(CONTEXTS, size=STREAMS)
    answer = values[context].argmax(1)
    random = rng.random(STREAMS) < EPSILON
    answer[random] = rng.integers(ANSWERS, size=int(random.sum()))
    chance = np.where(answer == right[context], RIGHT, WRONG)
    reward = (rng.random(STREAMS) < chance).astype(np.float32)
    ids = write_bandit(replay, {"context": context, "answer": answer, "reward": reward})
    return ids, float((RIGHT - chance).mean())


def run(tier: Tier, seed: int) -> list[Row]:
    """Every method and mean age; that of the large buffers follows from the run."""
    size = SIZES[tier]
    cases = [("uniform", 0), ("cleared", 0)]
    cases += [(method, age) for method in SET for age in size.ages]
    return [
        {"method": method, "age": age, "updates": (number + 1) * BIN - size.before, "regret": regret,
         "drawn": drawn}
        for method, age in cases
        for number, (regret, drawn) in enumerate(play(method, age, size, seed))
    ]  # fmt: skip


def _phase(rows: list[Row], method: str, age: int, *, after: bool) -> list[float]:
    """Mean regret per action before or after the change, one number per seed."""
    chosen = [row for row in select(rows, method=method, age=age) if (row["updates"] > 0) == after]
    return [
        float(np.mean([row["regret"] for row in select(chosen, seed=seed)]))
        for seed in distinct(rows, "seed")
    ]


def plot(rows: list[Row], axes: Sequence[Axes]) -> None:
    """Regret and age over time, and regret against the mean age that a replay is set to."""
    for method, color in COLORS.items():
        age = SHOWN if method in SET else 0
        for axis, column in zip(axes, ("regret", "drawn"), strict=False):
            curve(axis, rows, "updates", column, label=method, color=color, method=method, age=age)
    for axis in axes[:2]:
        axis.axvline(0, color="0.6", ls=":", lw=0.9)
        axis.set_xlabel("updates since the change")
    axes[0].set_ylabel("regret per action")
    axes[0].set_title(f"regret (mean age set to {SHOWN})")
    axes[1].set_ylabel("mean age, updates")
    axes[1].set_title("age of what is drawn")
    ages = sorted(distinct(select(rows, method="recency"), "age"))
    for method in SET:
        for after, style in ((True, "-"), (False, "--")):
            found = np.array([interval(_phase(rows, method, age, after=after)) for age in ages])
            axes[2].plot(ages, found[:, 0], style, marker="o", ms=3.5, color=COLORS[method])
            axes[2].fill_between(ages, found[:, 1], found[:, 2], color=COLORS[method], **VEIL)
    for method, after, style in (("uniform", True, "-"), ("uniform", False, "--"), ("cleared", True, "-")):
        mean = interval(_phase(rows, method, 0, after=after)).mean
        axes[2].axhline(mean, ls=style, color=COLORS[method], lw=1.4)
    axes[2].set_xscale("log")
    axes[2].set_xticks(ages, [str(age) for age in ages])
    axes[2].minorticks_off()
    axes[2].set_ylim(bottom=0.0)
    axes[2].set_xlabel("mean age that is set, updates")
    axes[2].set_title("regret after the change (solid)\nand before it (dashed)")
    axes[2].set_ylabel("regret per action")


def verdict(rows: list[Row]) -> Verdict:
    """Short memories end the regret soon, clearing soonest; ages are those of the closed form."""
    ages = distinct(select(rows, method="recency"), "age")
    mean = {
        (method, age): interval(_phase(rows, method, age, after=True)).mean
        for method, age in dict.fromkeys((row["method"], row["age"]) for row in rows)
    }
    uniform, cleared = mean["uniform", 0], mean["cleared", 0]
    best = {m: min(ages, key=lambda age: mean[m, age]) for m in SET}
    before = {age: interval(_phase(rows, "recency", age, after=False)).mean for age in ages}
    large = interval(_phase(rows, "uniform", 0, after=False)).mean
    drift = max(abs(_last_age(rows, method, age) / age - 1.0) for method in SET for age in ages)
    holds = (
        max(mean[m, age] for m, age in best.items()) < 0.6 * uniform
        and cleared < 1.05 * min(mean[m, age] for m, age in best.items())
        and before[min(ages)] > 1.1 * large
        and drift < 0.15
    )
    shown = ", ".join(f"{m} {mean[m, age]:.3f} (mean age {age})" for m, age in best.items())
    return Verdict(
        bool(holds),
        f"regret an action after the change: uniform {uniform:.3f}, {shown}, cleared {cleared:.3f}; drawn ages "
        f"within {drift:.0%} of the closed form",
        "Garivier & Moulines choose actions by upper bounds, here epsilon-greedy by learned values. The price of a "
        f"short memory: before the change, {before[min(ages)]:.3f} with a mean age of {min(ages)} updates, "
        f"{large:.3f} with the large buffer.",
    )


def _last_age(rows: list[Row], method: str, age: int) -> float:
    """Mean age of the items drawn at the end, over the seeds."""
    last = max(row["updates"] for row in rows)
    return float(np.mean([row["drawn"] for row in select(rows, method=method, age=age, updates=last)]))


STUDY = Study(
    name="changing_task",
    method="recency, small buffers, clearing",
    experiment="bandit whose task changes",
    question=(
        "At a known step another answer becomes right in every context. How much does the old experience in the "
        "replay cost, and how old is what is drawn?"
    ),
    published="regret goes on with the whole past in each batch; a window or a discount ends it soon, at the "
    "price of noise (Garivier & Moulines 2011)",
    seeds={"quick": 2, "full": 8},
    run=run,
    plot=plot,
    verdict=verdict,
    panels=3,
)
