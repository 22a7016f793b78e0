"""Blind Cliffwalk: how many updates does it take to learn from memory when one transition in N matters?

Schaul et al. (2016), Figures 1 and 2 and appendix B.1. A chain of n states has two actions. The right one
(which of the two alternates) leads to the next state, the wrong one ends the episode with 0; the last right
one ends it with 1. The memory holds every one of the 2^n action sequences up to its end, in random order: N
= 2^(n+1) - 2 transitions, duplicates included, exactly one of them rewarded.

Prediction: uniform replay needs a number of updates proportional to N, exponential in n; prioritized replay
several times fewer at n = 16; an oracle that always replays what lowers the loss most, orders of magnitude
fewer. Greedy is the paper's first step: always the transition with the largest last-seen error.

The memory is filled once and never overwritten, so the study drives the selectors alone. `Greedy` is the
study's own. The oracle looks at the true values and is no replay method. With linear Q, whose bias is shared,
it reaches points where every update with an error raises the loss; one whose error is 0 changes nothing, and would
be chosen forever. The paper does not say what its oracle does there: ours replays the largest error.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from experiments.replay.chain import learn, learn_with_oracle, memory, truth
from experiments.replay.study import Row, Study, Tier, Verdict, distinct, select
from experiments.style import BLUE, GRAY, GREEN, LIGHT, ORANGE, VEIL
from r2d2.replay import Proportional, RankBased, Selector, Uniform

SCALE = 0.1  # standard deviation of the first parameters, appendix B.1
ALPHA = 1.0  # ours: the paper gives none for this experiment
PATIENCE = 400  # updates per transition in memory after which a run is aborted; ours
ORACLE_PATIENCE = 100_000  # updates after which the oracle is aborted; ours, ten times what it needs

SIZES: dict[Tier, tuple[int, ...]] = {"quick": (4, 6, 8, 10), "full": tuple(range(2, 17))}
MORE: dict[Tier, tuple[int, ...]] = {"quick": (12, 14), "full": ()}  # for uniform, whose growth is measured
GROWN = 6  # least states for the fit of the growth, which n itself affects below; ours
COLORS = {
    "uniform": GRAY,
    "greedy": LIGHT,
    "rank": BLUE,
    "proportional": ORANGE,
    "oracle": GREEN,
}

KINDS = ("tabular", "linear")  # representations of Q

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Greedy:
    """Always draws the largest priority, the oldest among equals (the paper's section 3.1)."""

    def __init__(self, capacity: int) -> None:
        self._priority = np.zeros(capacity)
        self._heap: list[tuple[float, int]] = []

    def insert(self, places: Ints, streams: Ints) -> None:
        """New items come before all items that were seen."""
        self._priority[places] = np.inf
        for place in places.tolist():
            heapq.heappush(self._heap, (-np.inf, place))

    def update(self, places: Ints, priorities: Floats) -> None:
        self._priority[places] = priorities
        for place, priority in zip(places.tolist(), priorities.tolist(), strict=True):
            heapq.heappush(self._heap, (-priority, place))

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Ints, Floats]:
        """The same item n times."""
        while -self._heap[0][0] != self._priority[self._heap[0][1]]:
            heapq.heappop(self._heap)  # an entry whose priority has changed since
        return np.full(n, self._heap[0][1]), np.ones(n)


METHODS: dict[str, Callable[[int], Selector | Greedy]] = {
    "uniform": Uniform,
    "greedy": Greedy,
    "rank": lambda capacity: RankBased(capacity, alpha=ALPHA),
    "proportional": lambda capacity: Proportional(capacity, alpha=ALPHA),
}


def updates(method: str, linear: bool, n: int, rng: np.random.Generator) -> tuple[int, bool, int]:
    """Updates until the error is below `chain.CONVERGED`, whether it converged, and how often the oracle was
    trapped."""
    values, bias = truth(n), float(linear)
    theta = rng.normal(0.0, SCALE, (2, n + 1))
    states, right = memory(n, rng)
    most = PATIENCE * len(states)
    if method == "oracle":
        count, trapped = learn_with_oracle(theta, bias, values, ORACLE_PATIENCE)
        return count, count < ORACLE_PATIENCE, trapped
    selector = METHODS[method](len(states))
    everything = np.arange(len(states))
    selector.insert(everything, np.zeros_like(everything))
    # Uniform draws do not depend on what was learned, so many are made in one call.
    chunk = 4096 if method == "uniform" else 1
    errors, count, done = np.empty(chunk), 0, False
    while not done and count < most:
        places, _ = selector.sample(chunk, rng)
        used, done = learn(theta, bias, states[places], right[places], values, errors)
        count += used
        if chunk == 1:
            selector.update(places, np.abs(errors))
    return count, done, 0


def run(tier: Tier, seed: int) -> list[Row]:
    """Updates until convergence for every method, representation and size."""
    rows = []
    for n in (*SIZES[tier], *MORE[tier]):
        methods = (*METHODS, "oracle") if n in SIZES[tier] else ("uniform",)
        for representation in KINDS:
            for number, method in enumerate(methods):
                rng = np.random.default_rng([seed, n, number])
                count, converged, trapped = updates(method, representation == "linear", n, rng)
                rows.append({
                    "representation": representation, "method": method, "states": n,
                    "transitions": 2 ** (n + 1) - 2, "updates": count, "converged": int(converged),
                    "trapped": trapped,
                })  # fmt: skip
    return rows


def _median(rows: list[Row], representation: str, method: str, n: int) -> float:
    """Infinity where not all seeds converged."""
    found = select(rows, representation=representation, method=method, states=n)
    return median(row["updates"] for row in found) if all(row["converged"] for row in found) else np.inf


def plot(rows: list[Row], axes: Sequence[Axes]) -> None:
    """Figure 1 and 2: median updates (min to max as a band) against the size of the memory."""
    for axis, representation in zip(axes, KINDS, strict=True):
        for method in distinct(rows, "method"):
            chosen = select(rows, representation=representation, method=method, converged=1)
            sizes = sorted(distinct(chosen, "transitions"))
            counts = [[row["updates"] for row in select(chosen, transitions=size)] for size in sizes]
            color = COLORS[method]
            axis.plot(sizes, [median(c) for c in counts], color=color, label=method, lw=1.6)
            low, high = [min(c) for c in counts], [max(c) for c in counts]
            axis.fill_between(sizes, low, high, color=color, **VEIL)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_title(f"{representation} Q, medians of {len(distinct(rows, 'seed'))}")
        axis.set(xlabel="transitions in memory, N", ylabel="updates until MSE < 0.001")


def verdict(rows: list[Row]) -> Verdict:
    """Uniform grows like N, prioritized is several times faster, the oracle far faster still."""
    n = max(distinct(select(rows, method="oracle"), "states"))
    growth = _growth(rows)
    speed = {
        (kind, method): _median(rows, kind, "uniform", n) / _median(rows, kind, method, n)
        for kind in KINDS
        for method in ("greedy", "rank", "proportional", "oracle")
    }
    prioritized = [speed[kind, method] for kind in KINDS for method in ("rank", "proportional")]
    holds = (
        0.85 < growth < 1.15
        and min(prioritized) > 3.0
        and speed["tabular", "oracle"] > 5 * speed["tabular", "proportional"]
    )
    names = ", ".join(
        f"{method} {_times(speed['tabular', method])} / {_times(speed['linear', method])}"
        for method in ("greedy", "rank", "proportional", "oracle")
    )
    return Verdict(
        bool(holds),
        f"uniform grows like N^{growth:.2f}; at n = {n}, times fewer updates than uniform "
        f"(tabular / linear): {names}",
        _note(rows),
    )


def _growth(rows: list[Row]) -> float:
    """Exponent of N in uniform's median updates, fitted from `GROWN` states on; NaN where some did not converge."""
    uniform = select(rows, representation="tabular", method="uniform")
    sizes = [n for n in distinct(uniform, "states") if n >= GROWN]
    medians = np.array([_median(rows, "tabular", "uniform", n) for n in sizes])
    if not np.isfinite(medians).all():
        return float("nan")
    transitions = [2 ** (n + 1) - 2 for n in sizes]
    return float(np.polyfit(np.log(transitions), np.log(medians), 1)[0])


def _times(speed: float) -> str:
    return f"{speed:.0f}" if speed > 0 else "not all converged"


def _note(rows: list[Row]) -> str:
    """Where the oracle met points at which no update lowers the loss."""
    oracle = select(rows, representation="linear", method="oracle")
    trapped = [row for row in oracle if row["trapped"]]
    if not trapped:
        return ""
    first = min(row["states"] for row in trapped)
    share = max(row["trapped"] / row["updates"] for row in trapped)
    return (
        f"with linear Q the oracle, from n = {first} on, comes to points where no update lowers the loss (at most "
        f"{share:.0%} of a run's updates, none with tabular Q); the paper does not say what its oracle does there, "
        "ours replays the largest error."
    )


STUDY = Study(
    name="cliffwalk",
    method="prioritized replay, proportional and rank-based",
    experiment="Blind Cliffwalk",
    question=(
        "How many updates does it take to learn from memory when one transition in N matters? "
        "Medians of the seeds, min to max as a band."
    ),
    published="uniform needs updates ~ N; prioritized several times fewer at n = 16, a (tabular) oracle "
    "orders of magnitude fewer (Schaul et al. 2016, Figures 1 and 2)",
    seeds={"quick": 3, "full": 10},
    run=run,
    plot=plot,
    verdict=verdict,
    panels=2,
)
