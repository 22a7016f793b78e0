"""Deadly triad: under which draws does off-policy TD with function approximation diverge?

The two-state example w -> 2w (Tsitsiklis & Van Roy 1996; Sutton & Barto 2018, section 11.2): one weight w, the
first state is worth w and the second 2w; the first leads to the second, the second to itself, every reward
is 0. All true values are w = 0. With discount gamma the two TD errors and their updates of w are

    first:   error gamma 2w - w  =  (2 gamma - 1) w,    times feature 1:   (2 gamma - 1) w
    second:  error gamma 2w - 2w = -2 (1 - gamma) w,    times feature 2:  -4 (1 - gamma) w

so that, drawn with probabilities P1 and P2, the expected update is step * rate * w with

    rate = P1 (2 gamma - 1) - 4 (1 - gamma) P2,

and w grows without bound where P1 (2 gamma - 1) > 4 (1 - gamma) P2. A selector enters through P1 / P2 alone.
With n1 and n2 such transitions in memory and priorities |error|, which are refreshed at every update:

    uniform:       n1 / n2
    proportional:  (n1 / n2) x^alpha,  x = (2 gamma - 1) / (2 - 2 gamma), the quotient of the errors;
                   with weights P^-beta in effect (n1 / n2) x^(alpha (1 - beta))
    rank:          those with the larger error hold the first ranks: ratio of the sums of rank^-alpha
    recency:       ratio of the sums of exp(-decay age)
    combined:      the newest transition has 1 / B of the batch, the rest is uniform

For the proportional one, rate > 0 means (n1 / n2) x^(1 + alpha) > 2: prioritizing makes divergence likelier (as
van Hasselt et al. 2018 expect in general) only where the first transition is less than twice as frequent as the
second; beyond that it is the other way round.

Prediction: w grows exactly where the formula says, log |w| by log(1 + step * rate) an update: measured just below
and just above the threshold in gamma of every selector and mixture, and over all gamma. (For the logarithm of the
expected factor; drawing batches of B takes step^2 * variance / 2B from it, far below the distances here.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from experiments.replay.steps import step_replay
from experiments.replay.study import Row, Study, Tier, Verdict, distinct, over_seeds, select
from experiments.style import BLACK, BLUE, GRAY, GREEN, LIGHT, ORANGE, PINK
from r2d2.replay import Combined, Proportional, RankBased, Recency, Replay, Selector, Uniform

BATCH = 64
STEP = 0.05  # ours: small, so that the growth is that of the expectation
DECAY = 0.02  # of recency; ours: the oldest of 60 transitions is drawn a third as often as the newest
RANK_ALPHA = 0.7  # Schaul et al. (2016), table 3
FAR = 1e9  # |w| beyond which a run has diverged, and its inverse; ours
MARGIN = 0.01  # of gamma, on either side of a threshold; ours
TOLERANCE = 0.02  # of the growth; ours: four standard errors of the quick tier

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Method:
    """`values(first, gamma)`: unnormalized probabilities of a memory, oldest transition first, from `first` [N],
    which ones leave the first state; `beta` is that of the importance weights."""

    make: Callable[[int], Selector]
    values: Callable[[Bools, float], Floats]
    color: str
    beta: float = 0.0


def errors(first: Bools, gamma: float) -> Floats:
    """|TD error| of every transition [N] at w = 1."""
    return np.where(first, abs(2 * gamma - 1), 2 - 2 * gamma)


def _proportional(alpha: float, color: str, beta: float = 0.0) -> Method:
    return Method(
        lambda n: Proportional(n, alpha=alpha, epsilon=0.0),
        lambda first, gamma: errors(first, gamma) ** alpha,
        color,
        beta,
    )


def _by_rank(first: Bools, gamma: float) -> Floats:
    order = np.argsort(-errors(first, gamma), kind="stable")
    values = np.empty(len(first))
    values[order] = np.arange(1, len(first) + 1) ** -RANK_ALPHA
    return values


def _newest_and_uniform(first: Bools, gamma: float) -> Floats:
    newest = np.arange(len(first)) == len(first) - 1
    return newest + (BATCH - 1) / len(first)


METHODS = {
    "uniform": Method(Uniform, lambda first, gamma: np.ones(len(first)), GRAY),
    "proportional, alpha 0.5": _proportional(0.5, LIGHT),
    "proportional, alpha 1": _proportional(1.0, ORANGE),
    "alpha 1 with weights, beta 1": _proportional(1.0, PINK, beta=1.0),
    "rank, alpha 0.7": Method(lambda n: RankBased(n, alpha=RANK_ALPHA, refresh=0.0), _by_rank, BLUE),
    "recency, 1 -> 2 newest": Method(
        lambda n: Recency(n, decay=DECAY),
        lambda first, gamma: np.exp(DECAY * np.arange(len(first))),
        GREEN,
    ),
    "combined, 1 -> 2 newest": Method(
        lambda n: Combined(Uniform(n), capacity=n, streams=1), _newest_and_uniform, BLACK
    ),
}

ITEMS = 60
FIRST: dict[Tier, tuple[int, ...]] = {"quick": (30,), "full": (12, 20, 30, 40, 48)}  # 1 -> 2, of ITEMS
SWEPT = 30  # the mixture of which all gammas are tried
GAMMAS: dict[Tier, tuple[float, ...]] = {
    "quick": (),
    "full": (0.56, 0.62, 0.68, 0.72, 0.8, 0.86, 0.92, 0.98),
}
UPDATES: dict[Tier, int] = {"quick": 250, "full": 1500}


def memory(first: int) -> Bools:
    """A memory of ITEMS transitions, oldest first: those of the second state, then `first` of the first."""
    return np.arange(ITEMS) >= ITEMS - first


def rate(method: Method, first: Bools, gamma: float) -> float:
    """Expected update of w over step * w.

    >>> half = memory(30)
    >>> round(rate(METHODS["uniform"], half, 0.9), 4)  # 0.5 * 0.8 - 0.5 * 0.4
    0.2
    """
    values = method.values(first, gamma)
    probability = values / values.sum()
    weight = (probability / probability.min()) ** -method.beta  # over the largest
    update = np.where(first, 2 * gamma - 1, -4 * (1 - gamma))
    return float((probability * weight * update).sum())


def growth(rate: float) -> float:
    """Growth of log |w| over step, per update, where the expected update is step * rate * w.

    >>> round(growth(-0.8), 4)
    -0.8164
    """
    return float(np.log1p(STEP * rate) / STEP)


def threshold(method: Method, first: Bools) -> float:
    """gamma above which w grows: the rate changes its sign once, from below 0 at 1/2 to above it at 1.

    >>> round(threshold(METHODS["uniform"], memory(30)), 6)  # 5 / 6
    0.833333
    >>> round(threshold(METHODS["proportional, alpha 1"], memory(30)), 6)  # x = sqrt 2
    0.792893
    """
    low, high = 0.5, 1.0 - 1e-12
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if rate(method, first, middle) > 0 else (middle, high)
    return low


def fill(selector: Selector, first: Bools) -> tuple[Replay, NDArray[np.int64]]:
    """A replay of these transitions, each an episode of one action in one stream; and their ids."""
    replay = step_replay({"feature": "float64"}, len(first), selector)
    ids = []
    for leaves_first in first:
        for feature, last in ((1.0 if leaves_first else 2.0, False), (2.0, True)):
            ids.append(replay.write({"feature": np.array([feature])}, np.array([last])))
    return replay, np.concatenate(ids)


def grown(method: Method, first: Bools, gamma: float, updates: int, rng: np.random.Generator) -> float:
    """Measured growth of log |w| over step, per update, which `growth` of `rate` predicts."""
    replay, ids = fill(method.make(len(first)), first)
    held = replay.get(ids).columns["feature"]
    w, done, out = 1.0, 0, None
    while done < updates and 1 / FAR < abs(w) < FAR:
        replay.update_priorities(ids, np.abs(gamma * held[:, 1] - held[:, 0]) * abs(w))
        out = replay.sample(BATCH, rng, beta=method.beta, out=out)
        feature, after = out.columns["feature"].T
        w += STEP * float((out.weight * (gamma * after - feature) * w * feature).mean())
        done += 1
    return float(np.log(abs(w)) / (STEP * done))


def run(tier: Tier, seed: int) -> list[Row]:
    """Predicted and measured growth on both sides of every threshold, and over all gammas of one mixture."""
    rows: list[Row] = []
    for name, method in METHODS.items():
        for count in FIRST[tier]:
            first = memory(count)
            middle = threshold(method, first)
            gammas = [middle - MARGIN, middle + MARGIN, *(GAMMAS[tier] if count == SWEPT else ())]
            for gamma in gammas:
                rng = np.random.default_rng([seed, len(rows)])
                rows.append({
                    "method": name, "first": count, "gamma": gamma, "threshold": middle,
                    "rate": rate(method, first, gamma), "grown": grown(method, first, gamma, UPDATES[tier], rng),
                })  # fmt: skip
    return rows


def plot(rows: list[Row], axes: Sequence[Axes]) -> None:
    """Rates over gamma with their closed form, and the thresholds over mixtures with the runs beside them."""
    gammas, counts = np.linspace(0.55, 0.99, 400), range(6, 55)
    for name, method in METHODS.items():
        swept = select(rows, method=name, first=SWEPT)
        axes[0].plot(
            gammas, [growth(rate(method, memory(SWEPT), g)) for g in gammas], color=method.color, lw=1.2
        )
        points = sorted(distinct(swept, "gamma"))
        means = [over_seeds(swept, "grown", gamma=gamma).mean for gamma in points]
        axes[0].plot(points, means, "o", ms=4, color=method.color, label=name)
        line = [threshold(method, memory(count)) for count in counts]
        axes[1].plot([count / ITEMS for count in counts], line, color=method.color, lw=1.2)
        for row in select(rows, method=name):
            if abs(row["gamma"] - row["threshold"]) < 1.5 * MARGIN:
                marker = "^" if row["grown"] > 0 else "v"
                axes[1].plot(row["first"] / ITEMS, row["gamma"], marker, ms=4, color=method.color)
    axes[0].axhline(0, color="0.5", lw=0.8)
    axes[0].set_xlabel("gamma")
    axes[0].set_ylabel("growth of log |w|")
    axes[0].set_title(f"{SWEPT} of each transition\nlines: closed form, dots: runs")
    axes[1].set_xlabel("share of 1 -> 2 in memory")
    axes[1].set_ylabel("gamma")
    axes[1].set_title("thresholds in closed form\ntriangles: runs grew (up) or shrank")


def verdict(rows: list[Row]) -> Verdict:
    """Every run is on the side of the closed form, and its growth close to the predicted one."""
    wrong = [row for row in rows if (row["grown"] > 0) != (row["rate"] > 0)]
    cases = {(row["method"], row["first"], row["gamma"]): row["rate"] for row in rows}
    gaps = [
        abs(over_seeds(rows, "grown", method=method, first=first, gamma=gamma).mean - growth(predicted))
        for (method, first, gamma), predicted in cases.items()
    ]
    middle = {row["method"]: row["threshold"] for row in select(rows, first=SWEPT)}
    named = ", ".join(f"{name} {gamma:.3f}" for name, gamma in middle.items())
    return Verdict(
        not wrong and max(gaps) < TOLERANCE,
        f"{len(rows) - len(wrong)} of {len(rows)} runs on the side of the closed form, {MARGIN:g} in gamma from "
        f"each threshold and beyond; growth within {max(gaps):.3f}; thresholds at equal shares: {named}",
        "that prioritizing makes divergence likelier (van Hasselt et al. 2018) is true here only where 1 -> 2 is "
        "less than twice as frequent as 2 -> 2; beyond that it raises the threshold.",
    )


STUDY = Study(
    name="deadly_triad",
    method="off-policy draws of every selector",
    experiment="w -> 2w",
    question=(
        "One weight, two states worth w and 2w, no reward: above which discount does TD diverge when a selector "
        "decides how often each transition is drawn?"
    ),
    published="diverges exactly where P1 (2 gamma - 1) > 4 (1 - gamma) P2 (Tsitsiklis & Van Roy 1996; Sutton & "
    "Barto 2018, section 11.2; the selectors' P1 / P2 derived here)",
    seeds={"quick": 2, "full": 5},
    run=run,
    plot=plot,
    verdict=verdict,
    panels=2,
)
