"""Blind Cliffwalk: how many updates does it take to learn from memory when one transition in N matters?

Schaul et al. (2016), Figures 1 and 2 and appendix B.1. A chain of n states has two actions. The right one
(which of the two alternates) leads to the next state, the wrong one ends the episode with 0; the last right
one ends it with 1. The memory holds every one of the 2^n action sequences up to its end, in random order: N
= 2^(n+1) - 2 transitions, duplicates included, exactly one of them rewarded.

Prediction: uniform replay needs a number of updates proportional to N, exponential in n; prioritised replay
several times fewer at n = 16; an oracle that always replays what lowers the loss most, orders of magnitude
fewer. Greedy is the paper's first step: always the transition with the largest last-seen error.

The memory is filled once and never overwritten, so the study drives the selectors alone. `Greedy` is the
study's own. The oracle looks at the true values and is no replay method.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
from matplotlib.axes import Axes
from numba import njit
from numpy.typing import NDArray

from experiments.replay.study import Row, Study, Tier, Verdict, distinct, select
from r2d2.replay import Proportional, RankBased, Selector, Uniform

STEP = 0.25  # appendix B.1
SCALE = 0.1  # standard deviation of the first parameters, appendix B.1
CONVERGED = 1e-3  # mean squared error over all Q values, appendix B.1
ALPHA = 1.0  # ours: the paper gives none for this experiment
PATIENCE = 400  # updates per transition in memory after which a run is given up; ours
ORACLE_PATIENCE = 100_000  # updates after which the oracle is given up; ours, a hundred times what it needs

SIZES: dict[Tier, tuple[int, ...]] = {"quick": (4, 6, 8, 10), "full": tuple(range(2, 17))}
COLOURS = {
    "uniform": "#8d99ae",
    "greedy": "#e09f3e",
    "rank": "#3d5a80",
    "proportional": "#d1495b",
    "oracle": "#2a9d8f",
}

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Greedy:
    """Always draws the largest priority, the oldest among equals (the paper's section 3.1)."""

    def __init__(self, capacity: int) -> None:
        self._priority = np.zeros(capacity)
        self._heap: list[tuple[float, int]] = []

    def insert(self, places: Ints, streams: Ints) -> None:
        """Never seen yet: before everything that was."""
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


def memory(n: int, rng: np.random.Generator) -> tuple[Ints, NDArray[np.bool_]]:
    """State [N] of every transition and whether its action was the right one [N], sequence after sequence."""
    sequences = rng.permutation(2**n)
    wrong = (sequences[:, None] >> np.arange(n)) & 1 == 0  # [2^n, n]
    right_steps = np.where(wrong.any(1), wrong.argmax(1), n)
    lengths = np.minimum(right_steps + 1, n)
    states = np.concatenate([np.arange(length) for length in lengths])
    return states, states < np.repeat(right_steps, lengths)


def truth(n: int) -> Floats:
    """Q of every state and (wrong, right) action [n, 2]: gamma to the number of steps before the reward."""
    values = np.zeros((n, 2))
    values[:, 1] = (1.0 - 1.0 / n) ** np.arange(n - 1, -1, -1)
    return values


@njit(cache=True)
def _q(theta, bias, state, right):
    """theta [2, n + 1]: one weight a state and one for the constant feature `bias`, for each action. Which
    action is right alternates."""
    action = (state + right) % 2
    return theta[action, state] + bias * theta[action, -1]


@njit(cache=True)
def _step(theta, bias, state, right):
    """One update from one transition; returns its error."""
    n = theta.shape[1] - 1
    target = 0.0
    if right and state == n - 1:
        target = 1.0
    elif right:
        target = (1.0 - 1.0 / n) * max(_q(theta, bias, state + 1, 0), _q(theta, bias, state + 1, 1))
    error = target - _q(theta, bias, state, right)
    action = (state + right) % 2
    theta[action, state] += STEP * error
    theta[action, n] += STEP * error * bias
    return error


@njit(cache=True)
def _loss(theta, bias, values):
    total = 0.0
    for state in range(len(values)):
        for right in range(2):
            total += (_q(theta, bias, state, right) - values[state, right]) ** 2
    return total / (2 * len(values))


@njit(cache=True)
def learn(theta, bias, states, right, values, errors):
    """Update from these transitions in turn until converged; fills `errors` and returns how many it took, and
    whether it has converged."""
    for i in range(len(states)):
        errors[i] = _step(theta, bias, states[i], int(right[i]))
        if _loss(theta, bias, values) < CONVERGED:
            return i + 1, True
    return len(states), False


@njit(cache=True)
def learn_with_oracle(theta, bias, values, most):
    """Always the transition after which the loss is least; returns the number of updates."""
    n = len(values)
    for count in range(most):
        if _loss(theta, bias, values) < CONVERGED:
            return count
        best, best_loss = 0, np.inf
        for kind in range(2 * n):
            tried = theta.copy()
            _step(tried, bias, kind // 2, kind % 2)
            loss = _loss(tried, bias, values)
            if loss < best_loss:
                best, best_loss = kind, loss
        _step(theta, bias, best // 2, best % 2)
    return most


def updates(method: str, linear: bool, n: int, rng: np.random.Generator) -> tuple[int, bool]:
    """Updates until the error is below `CONVERGED`, and whether it came to that."""
    values, bias = truth(n), float(linear)
    theta = rng.normal(0.0, SCALE, (2, n + 1))
    states, right = memory(n, rng)
    most = PATIENCE * len(states)
    if method == "oracle":
        count = learn_with_oracle(theta, bias, values, ORACLE_PATIENCE)
        return count, count < ORACLE_PATIENCE
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
    return count, done


def run(tier: Tier, seed: int) -> list[Row]:
    """Updates until convergence for every method, representation and size."""
    rows = []
    for n in SIZES[tier]:
        for representation in ("tabular", "linear"):
            for number, method in enumerate((*METHODS, "oracle")):
                rng = np.random.default_rng([seed, n, number])
                count, converged = updates(method, representation == "linear", n, rng)
                rows.append({
                    "representation": representation, "method": method, "states": n,
                    "transitions": 2 ** (n + 1) - 2, "updates": count, "converged": int(converged),
                })  # fmt: skip
    return rows


def _median(rows: list[Row], representation: str, method: str, n: int) -> float:
    """Infinity where not all seeds converged."""
    found = select(rows, representation=representation, method=method, states=n)
    return median(row["updates"] for row in found) if all(row["converged"] for row in found) else np.inf


def plot(rows: list[Row], axes: Sequence[Axes]) -> None:
    """Figure 1 and 2: median updates (min to max as a band) against the size of the memory."""
    for axis, representation in zip(axes, ("tabular", "linear"), strict=True):
        for method in distinct(rows, "method"):
            chosen = select(rows, representation=representation, method=method, converged=1)
            sizes = sorted(distinct(chosen, "transitions"))
            counts = [[row["updates"] for row in select(chosen, transitions=size)] for size in sizes]
            colour = COLOURS[method]
            axis.plot(sizes, [median(c) for c in counts], color=colour, label=method, lw=1.6)
            low, high = [min(c) for c in counts], [max(c) for c in counts]
            axis.fill_between(sizes, low, high, color=colour, alpha=0.2, lw=0)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_title(
            f"{representation} Q, medians of {len(distinct(rows, 'seed'))}", loc="left", fontsize=10
        )
        axis.set_xlabel("transitions in memory, N")
    axes[0].set_ylabel("updates until MSE < 0.001")
    axes[0].legend(fontsize=8, frameon=False)


def verdict(rows: list[Row]) -> Verdict:
    """Uniform grows like N, prioritised is several times faster, the tabular oracle far faster still."""
    sizes = sorted(distinct(rows, "states"))
    n, middle = sizes[-1], sizes[len(sizes) // 2]
    growth = {
        method: np.log2(_median(rows, "tabular", method, n) / _median(rows, "tabular", method, middle))
        / (n - middle)
        for method in ("uniform", "proportional")
    }
    speed = {
        (kind, method): _median(rows, kind, "uniform", n) / _median(rows, kind, method, n)
        for kind in ("tabular", "linear")
        for method in ("greedy", "rank", "proportional", "oracle")
    }
    prioritised = [
        speed[kind, method] for kind in ("tabular", "linear") for method in ("rank", "proportional")
    ]
    holds = (
        0.8 < growth["uniform"] < 1.2
        and min(prioritised) > 3.0
        and speed["tabular", "oracle"] > 5 * speed["tabular", "proportional"]
    )
    names = ", ".join(
        f"{method} {_times(speed['tabular', method])} / {_times(speed['linear', method])}"
        for method in ("greedy", "rank", "proportional", "oracle")
    )
    return Verdict(
        bool(holds),
        f"uniform grows like N^{growth['uniform']:.2f}; at n = {n}, times fewer updates than uniform "
        f"(tabular / linear): {names}",
        _note(rows),
    )


def _times(speed: float) -> str:
    return f"{speed:.0f}" if speed > 0 else "not all converged"


def _note(rows: list[Row]) -> str:
    stuck = select(rows, representation="linear", method="oracle", converged=0)
    if not stuck:
        return ""
    first = min(row["states"] for row in stuck)
    return (
        f"with linear Q the oracle can be trapped: from n = {first} on, {len(stuck)} of its runs did not "
        f"converge within {ORACLE_PATIENCE:,} updates."
    )


STUDY = Study(
    name="cliffwalk",
    method="prioritised replay, proportional and rank-based",
    experiment="Blind Cliffwalk",
    question=(
        "How many updates does it take to learn from memory when one transition in N matters? "
        "Medians of the seeds, min to max as a band."
    ),
    published="uniform needs updates ~ N; prioritised several times fewer at n = 16, a (tabular) oracle "
    "orders of magnitude fewer (Schaul et al. 2016, Figures 1 and 2)",
    seeds={"quick": 3, "full": 10},
    run=run,
    plot=plot,
    verdict=verdict,
    panels=2,
)
