"""Importance weights: which value does prioritized replay of skewed rewards converge to?

One value V is learned from a memory in which a share f of the rewards is 1 and the rest 0, by V += step *
w_i (r_i - V) with priorities |r_i - V|. Uniform replay finds the mean, f. Prioritized replay with exponents
alpha and beta draws item i with P ~ |r_i - V|^alpha and weights it by P^-beta, so that V has a fixed point where

    sum_i |r_i - V|^(alpha (1 - beta)) (r_i - V) = 0,
    that is, V / (1 - V) = (f / (1 - f))^(1 / (1 + alpha (1 - beta))).

It is the minimum of |r - V|^(2 + alpha - alpha beta), the loss that prioritized replay really minimizes
(Fujimoto et al. 2020, theorem 3). Prediction: the learned values lie on this curve, and only beta = 1 finds
the mean (Schaul et al. 2016, section 3.4).

The curve holds where one common factor scales the weights of every batch. Weights over the largest of their
own batch have that only if each batch holds a frequent reward; in small batches it fails, and a batch of
one has no weights at all. The second panel compares small batches with the exact expectation over batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
from matplotlib.axes import Axes

from experiments.replay.steps import step_replay, write_bandit
from experiments.replay.study import Row, Study, Tier, Verdict, distinct, over_seeds, select
from experiments.style import BLUE, GRAY, ORANGE
from r2d2.replay import Proportional

ITEMS, SHARE = 200, 0.05  # of the memory; ours
STEP = 0.02  # ours: small, since priorities lag behind a moving V
BATCH = 64
ALPHAS = (0.0, 0.5, 1.0)
BETAS: dict[Tier, tuple[float, ...]] = {"quick": (0.0, 1.0), "full": (0.0, 0.25, 0.5, 0.75, 1.0)}
SMALL: dict[Tier, tuple[int, ...]] = {"quick": (1, 4), "full": (1, 2, 4, 8, 16, 32)}
UPDATES: dict[Tier, int] = {"quick": 1500, "full": 6000}  # the second half is averaged
TOLERANCE = 0.015  # of V; ours


def fixed_point(share: float, alpha: float, beta: float) -> float:
    """V where the weighted updates cancel, one factor for all weights.

    >>> round(fixed_point(0.05, 1.0, 0.0), 4), round(fixed_point(0.05, 1.0, 1.0), 4)
    (0.1866, 0.05)
    """
    odds = (share / (1.0 - share)) ** (1.0 / (1.0 + alpha * (1.0 - beta)))
    return odds / (1.0 + odds)


def fixed_point_of_batches(share: float, alpha: float, beta: float, batch: int) -> float:
    """The same for weights over the largest in their batch: the root of the expected update over all batches.

    The number k of frequent rewards in a batch is binomial. Their probability is the smaller one, so their
    weight is 1 where there is one; otherwise the rare reward's is.

    >>> round(fixed_point_of_batches(0.05, 1.0, 1.0, 1), 4) == round(fixed_point(0.05, 1.0, 0.0), 4)
    True
    """

    def update(value: float) -> float:
        frequent, rare = value**alpha, (1.0 - value) ** alpha
        mass = share * rare + (1.0 - share) * frequent
        chance = share * rare / mass  # of a rare reward
        weight = (frequent / rare) ** beta  # of a rare reward beside a frequent one
        total = chance**batch * batch * (1.0 - value)
        for k in range(1, batch + 1):
            probability = comb(batch, k) * (1.0 - chance) ** k * chance ** (batch - k)
            total += probability * ((batch - k) * weight * (1.0 - value) - k * value)
        return total

    low, high = 1e-9, 0.5  # the frequent reward has the smaller error
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if update(middle) > 0 else (low, middle)
    return low


def learned(alpha: float, beta: float, batch: int, updates: int, rng: np.random.Generator) -> float:
    """V averaged over the second half of the updates."""
    capacity = 4 * ITEMS  # room for one write of all streams; only ITEMS are ever held
    selector = Proportional(capacity, alpha=alpha, stratified=False)
    replay = step_replay({"reward": "float32"}, capacity, selector, streams=ITEMS)
    reward = (np.arange(ITEMS) < SHARE * ITEMS).astype(np.float32)
    ids = write_bandit(replay, {"reward": reward})
    value, total, out = SHARE, 0.0, None
    replay.update_priorities(ids, np.abs(reward - value))
    for k in range(updates):
        out = replay.sample(batch, rng, beta=beta, out=out)
        error = out.columns["reward"][:, 0] - value
        replay.update_priorities(out.ids, np.abs(error))
        value += STEP * float((out.weight * error).mean())
        if k >= updates // 2:
            total += value
    return total / (updates - updates // 2)


def run(tier: Tier, seed: int) -> list[Row]:
    """Learned value and closed form for every alpha, beta and batch."""
    cases = [(alpha, beta, BATCH) for alpha in ALPHAS for beta in BETAS[tier]]
    cases += [(1.0, 1.0, batch) for batch in SMALL[tier]]
    rows = []
    for number, (alpha, beta, batch) in enumerate(cases):
        # A small batch averages fewer errors per update.
        updates = UPDATES[tier] * (2 if batch < BATCH else 1)
        value = learned(alpha, beta, batch, updates, np.random.default_rng([seed, number]))
        rows.append({
            "alpha": alpha, "beta": beta, "batch": batch, "learned": value,
            "one_factor": fixed_point(SHARE, alpha, beta),
            "exact": fixed_point_of_batches(SHARE, alpha, beta, batch),
        })  # fmt: skip
    return rows


def _points(axis: Axes, rows: list[Row], x: str, color: str, label: str) -> None:
    points = sorted(distinct(rows, x))
    means = np.array([over_seeds(rows, "learned", **{x: point}) for point in points])
    bars = np.abs(means[:, 1:] - means[:, :1]).T
    axis.errorbar(points, means[:, 0], bars, fmt="o", ms=4, color=color, label=label)


def plot(rows: list[Row], axes: Sequence[Axes]) -> None:
    """Learned values on the closed form: against beta, and against the batch."""
    large = select(rows, batch=BATCH)
    betas = np.linspace(0, 1, 101)
    for alpha, color in zip(distinct(large, "alpha"), (GRAY, BLUE, ORANGE), strict=True):
        axes[0].plot(betas, [fixed_point(SHARE, alpha, beta) for beta in betas], color=color, lw=1.2)
        _points(axes[0], select(large, alpha=alpha), "beta", color, f"alpha = {alpha:g}")
    axes[0].set_xlabel("beta")
    axes[0].set_ylabel("learned value")
    axes[0].set_title(f"batches of {BATCH}, line: closed form")
    small = select(rows, alpha=1.0, beta=1.0)
    sizes = sorted(distinct(small, "batch"))
    axes[1].plot(
        sizes, [fixed_point_of_batches(SHARE, 1.0, 1.0, size) for size in sizes], color=ORANGE, lw=1.2
    )
    _points(axes[1], small, "batch", ORANGE, "_")
    axes[1].axhline(SHARE, color="0.5", ls="--", lw=0.9, label="mean of the memory")
    axes[1].set_xscale("log", base=2)
    axes[1].set_xlabel("items in a batch")
    axes[1].set_ylabel("learned value")
    axes[1].set_title("alpha = beta = 1, line: exact")


def verdict(rows: list[Row]) -> Verdict:
    """The learned value is the predicted one in every case."""
    cases = {(row["alpha"], row["beta"], row["batch"]): row for row in rows}
    gaps, distances = {}, {}
    for case, row in cases.items():
        found = over_seeds(rows, "learned", alpha=case[0], beta=case[1], batch=case[2]).mean
        gaps[case] = abs(found - row["exact"])
        if case[2] == BATCH:
            distances[case] = abs(found - row["one_factor"])
    unweighted = over_seeds(rows, "learned", alpha=1.0, beta=0.0, batch=BATCH).mean
    weighted = over_seeds(rows, "learned", alpha=1.0, beta=1.0, batch=BATCH).mean
    single = over_seeds(rows, "learned", alpha=1.0, beta=1.0, batch=1).mean
    holds = max(gaps.values()) < TOLERANCE and max(distances.values()) < TOLERANCE
    return Verdict(
        holds,
        f"largest distance from the closed form {max(distances.values()):.3f} over {len(distances)} pairs "
        f"(mean {SHARE:g}; alpha = 1: {unweighted:.3f} without, {weighted:.3f} with full weights)",
        f"weights over the batch's largest correct nothing in a batch of one ({single:.3f} instead of "
        f"{SHARE:g}); the exact expectation over batches predicts it.",
    )


STUDY = Study(
    name="weights",
    method="importance weights",
    experiment="fixed point of skewed rewards",
    question=(
        f"One value is learned from rewards of which {SHARE:.0%} are 1 and the rest 0. "
        "Where does it end for each alpha and beta?"
    ),
    published="minimum of error^(2 + alpha (1 - beta)) (Fujimoto et al. 2020, theorem 3): only beta = 1 "
    "finds the mean (Schaul et al. 2016, section 3.4)",
    seeds={"quick": 3, "full": 10},
    run=run,
    plot=plot,
    verdict=verdict,
    panels=2,
)
