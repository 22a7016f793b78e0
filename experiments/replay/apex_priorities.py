"""Initial priorities: what do batches hold when new items come faster than the learner looks at them?

Ape-X (Horgan et al. 2018, section 3) lets actors compute the priority of what they send. Prioritized replay had
gave a new item the highest priority seen so far, so that it is replayed soon and gets its own; with
hundreds of actors, they write, waiting for that would be "a myopic focus on the most recent data".

Here k items come in before each update and the oldest leave. An item has an error, 10^-3u with u uniform in
[0, 1], which its first replay reveals to the learner. What share of a batch has an error among the true top
10 % of the memory, and how old are its items (in updates), against k? Let q = 1 - B / Z be the probability that an
item which has not been replayed yet is not in the next batch of B, where Z is the sum of all p^alpha. Of C items,
each held for L = C / k updates, a share u has not been replayed, in expectation:

    u = sum_{a < L} q^a / L,    Z = C (u + (1 - u) E),    E = mean of error^alpha,
    share of the top = (u / 10 + (1 - u) T) C / Z,    T = mean of error^alpha * [error is in the top].

Prediction: where k is small beside the batch, u is small and both give T / E, 34 % for alpha = 0.6. With many
inserts u goes to 1, and with the maximum as initial priority the share falls to uniform's 10 %; actors'
priorities keep it. The mean age falls first (new items crowd the batch) and returns to uniform's once nearly
nothing in memory has been replayed.

The same is repeated with an error that halves at each replay, as if the item was learned; then there is no
closed form.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from experiments.replay.steps import step_replay, write_bandit
from experiments.replay.study import Row, Study, Tier, Verdict, curve, distinct, over_seeds, select
from experiments.style import BLUE, GRAY, ORANGE
from r2d2.replay import Proportional, Selector, Uniform

ALPHA = 0.6  # Horgan et al. (2018), appendix C
DECADES = 3.0  # of the errors; ours
TOP = 0.1
BATCH = 64
CAPACITY: dict[Tier, int] = {"quick": 1024, "full": 4096}
INSERTS: dict[Tier, tuple[int, ...]] = {"quick": (4, 128), "full": (4, 8, 16, 32, 64, 128, 256, 512)}
MEASURED: dict[Tier, int] = {"quick": 60, "full": 300}  # updates, after twice an item's life
LEFT = (1.0, 0.5)  # of an error after its replay
# New items for each one replayed: 4 steps a batch of 32 (Schaul et al. 2016, after DQN); 12.5 thousand a second
# while the learner replays 9.7 thousand (Horgan et al. 2018, section 4.1).
KNOWN = {"PER": 4 / 32, "Ape-X": 12.5 / 9.7}
TOLERANCE = 0.02  # of a share; ours
AGE_TOLERANCE = 0.1  # of a mean age, relative; ours

METHODS = {"uniform": GRAY, "maximum": BLUE, "actor": ORANGE}  # and their colors


def moments() -> tuple[float, float]:
    """Mean of error^alpha, and its part from the top.

    >>> mean, top = moments()
    >>> round(mean, 4), round(top / mean, 4)
    (0.2374, 0.3449)
    """
    rate = ALPHA * DECADES * np.log(10.0)  # error^alpha = exp(-rate u)
    return float((1 - np.exp(-rate)) / rate), float((1 - np.exp(-rate * TOP)) / rate)


def expected(method: str, capacity: int, inserts: int) -> tuple[float, float]:
    """Share of the top in a batch and mean age of its items in updates, for errors that stay.

    >>> expected("uniform", 4096, 8)
    (0.1, 255.5)
    """
    life = capacity // inserts
    ages = np.arange(life)
    mean, top = moments()
    if method == "uniform":
        return TOP, float(ages.mean())
    if method == "actor":
        return top / mean, float(ages.mean())

    def unseen(share: float) -> NDArray[np.float64]:
        """Probability [life] of not having been replayed by age, where `share` of the items have not been."""
        chance = BATCH / (capacity * (share + (1 - share) * mean))
        return np.asarray(max(0.0, 1 - chance) ** ages)

    low, high = 0.0, 1.0  # the mean is above 0 at 0, below 1 at 1 and concave between: one crossing
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if unseen(middle).mean() > middle else (low, middle)
    fresh = unseen(low)
    value = fresh + (1 - fresh) * mean  # mean of p^alpha by age
    share = (fresh * TOP + (1 - fresh) * top).sum() / value.sum()
    return float(share), float((ages * value).sum() / value.sum())


def measured(
    method: str, capacity: int, inserts: int, left: float, updates: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Measures what `expected` predicts: means over `updates` after the memory was replaced twice; each replay
    multiplies an error by `left`."""
    selector: Selector = Uniform(capacity)
    if method != "uniform":
        selector = Proportional(capacity, alpha=ALPHA, epsilon=0.0)
    replay = step_replay({"inserted": "int32"}, capacity, selector, streams=inserts)
    error = np.zeros(capacity)  # of the item in each place
    shares, ages, out = [], [], None
    for update in range(2 * capacity // inserts + updates):
        ids = write_bandit(replay, {"inserted": np.full(inserts, update, np.int32)})
        error[ids % capacity] = 10.0 ** (-DECADES * rng.random(inserts))
        if method == "actor":
            replay.update_priorities(ids, error[ids % capacity], initial=True)
        out = replay.sample(BATCH, rng, out=out)
        places = out.ids % capacity
        if update >= 2 * capacity // inserts:
            shares.append(float((error[places] >= np.quantile(error, 1 - TOP)).mean()))
            ages.append(float((update - out.columns["inserted"][:, 0]).mean()))
        error[places] = left * error[places]
        replay.update_priorities(out.ids, error[places])
    return float(np.mean(shares)), float(np.mean(ages))


def run(tier: Tier, seed: int) -> list[Row]:
    """Share of the top and mean age for every initial priority and number of inserts."""
    rows: list[Row] = []
    for left in LEFT:
        for method in METHODS:
            for inserts in INSERTS[tier]:
                rng = np.random.default_rng([seed, len(rows)])
                share, age = measured(method, CAPACITY[tier], inserts, left, MEASURED[tier], rng)
                stays = expected(method, CAPACITY[tier], inserts)
                uniform = expected("uniform", CAPACITY[tier], inserts)[1]
                rows.append({
                    "left": left, "method": method, "inserts": inserts, "share": share, "age": age,
                    "age_over_uniform": age / uniform, "expected_share": stays[0], "expected_age": stays[1],
                })  # fmt: skip
    return rows


def plot(rows: list[Row], axes: Sequence[Axes]) -> None:
    """Shares and ages of errors that stay, with their expectation, and shares of errors that are learned."""
    panels = (("share", 1.0, "errors stay (dashes: expectation)"), ("age_over_uniform", 1.0, "errors stay"),
              ("share", 0.5, "errors halve at each replay"))  # fmt: skip
    for axis, (column, left, title) in zip(axes, panels, strict=True):
        for method, color in METHODS.items():
            chosen = select(rows, left=left)
            label = {"uniform": "uniform draws", "maximum": "first priority: highest seen"}.get(
                method, "first priority: the actor's"
            )
            curve(axis, chosen, "inserts", column, method=method, label=label, color=color)
            if left == 1.0:
                known = {row["inserts"]: row for row in select(chosen, method=method)}
                uniform = {row["inserts"]: row["expected_age"] for row in select(chosen, method="uniform")}
                line = [
                    row["expected_share"] if column == "share" else row["expected_age"] / uniform[k]
                    for k, row in known.items()
                ]
                axis.plot(list(known), line, "--", color="0.2", lw=0.9)
        for name, ratio in KNOWN.items():
            axis.axvline(ratio * BATCH, color="0.6", lw=0.8, ls=":")
            axis.annotate(name, (ratio * BATCH, 0.0), (3, 4), xycoords=("data", "axes fraction"),
                          textcoords="offset points", fontsize=9, color=GRAY)  # fmt: skip
        inserts = sorted(distinct(rows, "inserts"))
        axis.set_xscale("log", base=2)
        axis.set_xticks(inserts, [str(k) for k in inserts])
        axis.set_ylim(0)
        axis.set_xlabel(f"inserts per update of {BATCH}")
        axis.set_title(title)
        axis.set_ylabel("top 10 % in a batch, share" if column == "share" else "mean age over uniform's")


def verdict(rows: list[Row]) -> Verdict:
    """Shares and ages are the expected ones; with most inserts the maximum is uniform and actors' are not."""
    few, most = min(distinct(rows, "inserts")), max(distinct(rows, "inserts"))
    gaps, ages = [], []
    for row in select(rows, left=1.0, seed=rows[0]["seed"]):
        wanted = {name: row[name] for name in ("left", "method", "inserts")}
        gaps.append(abs(over_seeds(rows, "share", **wanted).mean - row["expected_share"]))
        ages.append(abs(over_seeds(rows, "age", **wanted).mean / row["expected_age"] - 1))
    share = {
        (left, method, k): over_seeds(rows, "share", left=left, method=method, inserts=k).mean
        for left in LEFT
        for method in METHODS
        for k in (few, most)
    }
    lost = all(share[left, "maximum", most] < share[left, "uniform", most] + 0.05 for left in LEFT)
    kept = all(share[left, "actor", most] > 2 * share[left, "uniform", most] for left in LEFT)
    youngest = min(
        over_seeds(rows, "age_over_uniform", left=1.0, method="maximum", inserts=k).mean
        for k in distinct(rows, "inserts")
    )
    return Verdict(
        bool(lost and kept and max(gaps) < TOLERANCE and max(ages) < AGE_TOLERANCE),
        f"share of the top 10 % with {few} and {most} inserts per update of {BATCH}: actors' priorities "
        f"{share[1.0, 'actor', few]:.0%} and {share[1.0, 'actor', most]:.0%}, the maximum "
        f"{share[1.0, 'maximum', few]:.0%} and {share[1.0, 'maximum', most]:.0%}, uniform "
        f"{share[1.0, 'uniform', most]:.0%}; within {max(gaps):.3f} of the expectation",
        f"the focus on recent data (mean age down to {youngest:.2f} of uniform's) is there at intermediate rates "
        "only: with more inserts nearly nothing in memory has been replayed, and draws are uniform in age too.",
    )


STUDY = Study(
    name="apex_priorities",
    method="initial priorities from actors",
    experiment="inserts per update",
    question=(
        "What share of a batch is among the true top 10 % of errors, and how old is it, when new items come faster "
        "than the learner replays them?"
    ),
    published="actors' initial priorities keep large errors in the batch; the highest priority seen loses them to "
    "the most recent data (Horgan et al. 2018, section 3)",
    seeds={"quick": 2, "full": 5},
    run=run,
    plot=plot,
    verdict=verdict,
    panels=3,
)
