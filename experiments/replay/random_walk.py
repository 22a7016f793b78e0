"""n-step targets: how far should a target look ahead on the random walk?

Sutton & Barto (2018), Figure 7.2. A walk over 19 states in a row starts in the middle and steps left or right with
equal probability until it leaves the row: with reward -1 on the left, +1 on the right, 0 before. n-step TD learns
the 19 values online, without discount, from 0. The error is the root mean square over the states at the end of
each of the first 10 episodes, averaged over them and over 100 repetitions; all settings see the same walks.

Prediction: for every n the error falls and rises again with alpha; its least value is lowest for an
intermediate n, 4 in the book, and higher at both ends, n = 1 and Monte Carlo.

Every walker writes to a stream of its own and learns values of its own. Each item is learned from once, in the
order in which the replay finished them: with the n-th row after its step, or with the episode's end. That is
when n-step TD makes the same update, so a program written by hand from the book's page gives the same values
(`tests/experiments/test_random_walk.py`, to 1e-12). What is learned does not change the walks, so all are
written before the first update.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from numba import njit
from numpy.typing import NDArray

from experiments.replay.study import Row, Study, Tier, Verdict, curve, distinct, over_seeds
from r2d2.agent.losses import n_step_targets
from r2d2.replay import Column, Fifo, Replay, Sequencer, Uniform
from r2d2.report.intervals import Interval

STATES = 19  # positions 1..19; 0 and 20 are outside
MIDDLE = (STATES + 1) // 2
EPISODES = 10
CHUNK = 10_000  # items read at once
WALKERS: dict[Tier, int] = {"quick": 40, "full": 100}  # repetitions of each seed; the book has 100 in all
LOOKAHEADS: dict[Tier, tuple[int, ...]] = {
    "quick": (1, 4, 32),
    "full": (1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
}
SMALL_ALPHAS = (0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15)
ALPHAS = (*SMALL_ALPHAS, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
COLUMNS = {"walker": "int32", "position": "int32", "reward": "float32", "terminated": "bool"}
NAMED = 16  # up to this n the curves of the figure are far enough apart for labels
SHOWN = (0.23, 0.56)  # errors of the figure; ours, about the book's

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def truth() -> Floats:
    """Values of the positions inside [STATES].

    >>> truth()[[0, 9, 18]].tolist()
    [-0.9, 0.0, 0.9]
    """
    return (np.arange(1, STATES + 1) - MIDDLE) / MIDDLE


def walks(walkers: int, episodes: int, rng: np.random.Generator) -> Ints:
    """Positions [rows, walkers], episode after episode; -1 once a walker has finished all episodes."""
    rows = []
    position, played = np.full(walkers, MIDDLE), np.zeros(walkers, np.int64)
    while (played < episodes).any():
        rows.append(np.where(played < episodes, position, -1))
        last = outside(position)
        played += last
        position = np.where(last, MIDDLE, position + rng.choice((-1, 1), walkers))
    return np.array(rows)


def outside(position: Ints) -> NDArray[np.bool_]:
    """Where the walk is over."""
    return (position == 0) | (position == STATES + 1)


def play(positions: Ints, n: int) -> tuple[Replay, Ints]:
    """The walks [rows, walkers] in a replay of n-step items, a stream for each walker; the items' ids, in the
    order in which they were finished."""
    rows, walkers = positions.shape
    sequencer = Sequencer(walkers, burn_in=0, unroll=1, n_step=n, period=1)
    capacity = walkers * (rows + sequencer.items_at_once)
    replay = Replay(
        {name: Column((), dtype) for name, dtype in COLUMNS.items()},
        streams=walkers,
        sequencer=sequencer,
        selector=Uniform(capacity),
        remover=Fifo(capacity),
        capacity=capacity,
        steps=walkers * (rows + sequencer.rows),
    )
    ids = []
    for here, there in zip(positions, [*positions[1:], positions[-1]], strict=True):
        streams = np.flatnonzero(here >= 0)
        here, there = here[streams], there[streams]
        last = outside(here)
        terminated = outside(there) & ~last
        reward = np.where(terminated, np.sign(there - 1), 0)
        row = dict(zip(COLUMNS, (streams, here, reward, terminated), strict=True))
        row = {name: values.astype(COLUMNS[name]) for name, values in row.items()}
        ids.append(replay.write(row, last, streams=streams))
    return replay, np.concatenate(ids)


@njit(cache=True)
def _update(value, error, true, alphas, walkers, positions, after, total, factor, ended):
    """TD updates in turn; `error` [walkers, alphas] grows by the root mean square error at an episode's end."""
    for i in range(len(walkers)):
        w = walkers[i]
        for k in range(len(alphas)):
            target = total[i] + factor[i] * value[w, k, after[i]]
            value[w, k, positions[i]] += alphas[k] * (target - value[w, k, positions[i]])
            if ended[i]:
                error[w, k] += np.sqrt(np.mean((value[w, k, 1:-1] - true) ** 2))


def learn(replay: Replay, ids: Ints, alphas: Floats, gamma: float = 1.0) -> tuple[Floats, Floats]:
    """n-step TD from items in this order; returns the values [walkers, alphas, STATES] in the end and the sum of
    the root mean square errors [walkers, alphas] at the episodes' ends."""
    n = replay.sequencer.n_step
    value = np.zeros((replay.streams, len(alphas), STATES + 2))
    error = np.zeros(value.shape[:2])
    for some in np.array_split(ids, len(ids) // CHUNK + 1):
        batch = replay.get(some)
        walkers, positions, rewards, terminated = (batch.columns[name].T for name in COLUMNS)
        reward = torch.from_numpy(rewards.astype(np.float64))  # [1 + n, K]
        discount, end = torch.from_numpy(gamma * ~terminated), torch.from_numpy(batch.lookahead)
        zero = torch.zeros_like(reward)
        # A target is affine in its bootstrap value, the only part that depends on what was learned before: a sum of
        # rewards, a factor, and the position whose value it is.
        total = n_step_targets(reward, discount, zero, end, n)[0]
        factor = n_step_targets(zero, discount, zero + 1.0, end, n)[0]
        after = n_step_targets(zero, zero + 1.0, torch.from_numpy(positions.astype(np.float64)), end, n)[0]
        _update(value, error, truth(), alphas, walkers[0], positions[0], after.numpy().astype(np.int64),
                total.numpy(), factor.numpy(), terminated[0])  # fmt: skip
    return value[:, :, 1:-1], error


def run(tier: Tier, seed: int) -> list[Row]:
    """Error of every n and alpha, the mean over walkers and episodes."""
    positions = walks(WALKERS[tier], EPISODES, np.random.default_rng(seed))
    rows = []
    for n in LOOKAHEADS[tier]:
        _, error = learn(*play(positions, n), np.array(ALPHAS))
        for alpha, mean in zip(ALPHAS, error.mean(0) / EPISODES, strict=True):
            rows.append({"n": n, "alpha": alpha, "error": float(mean)})
    return rows


def least(rows: list[Row], n: int) -> tuple[float, Interval]:
    """The alpha whose mean error over the seeds is lowest, and that error."""
    errors = {alpha: over_seeds(rows, "error", n=n, alpha=alpha) for alpha in distinct(rows, "alpha")}
    alpha = min(errors, key=lambda a: errors[a].mean)
    return alpha, errors[alpha]


def plot(rows: list[Row], axes: Sequence[Axes]) -> None:
    """Figure 7.2, and the least error of each n."""
    lookaheads = sorted(distinct(rows, "n"))
    colors = colormaps["cividis"](np.linspace(0, 0.95, len(lookaheads)))
    for n, color in zip(lookaheads, colors, strict=True):
        curve(axes[0], rows, "alpha", "error", n=n, label=f"_{n}", color=color)
        best, (mean, low, high) = least(rows, n)
        if n <= NAMED:
            above = n == 1  # below it another curve passes
            axes[0].text(best, mean + (0.006 if above else -0.006), f"n = {n}", color=color, size=9, ha="center",
                         va="bottom" if above else "top")  # fmt: skip
        axes[1].errorbar(n, mean, [[mean - low], [high - mean]], fmt="o", ms=5, capsize=3, color=color)
    axes[1].plot(lookaheads, [least(rows, n)[1].mean for n in lookaheads], color="0.6", lw=1, zorder=0)
    axes[0].set_ylim(*SHOWN)
    axes[0].set_xlabel("alpha")
    axes[0].set_ylabel("RMS error, first 10 episodes")
    axes[0].set_title(f"{STATES} states")
    axes[1].set_xscale("log", base=2)
    axes[1].set_xticks(lookaheads, [str(n) for n in lookaheads])
    axes[1].set(xlabel="n", ylabel="RMS error, first 10 episodes")
    axes[1].set_title("each n at its best alpha (same colors)")


def verdict(rows: list[Row]) -> Verdict:
    """The least error is at n = 2, 4 or 8, clearly below both ends, and inside the range of alpha for each n."""
    lookaheads, alphas = sorted(distinct(rows, "n")), sorted(distinct(rows, "alpha"))
    found = {n: least(rows, n) for n in lookaheads}
    best = min(found, key=lambda n: found[n][1].mean)
    ends = [found[n][1] for n in (lookaheads[0], lookaheads[-1])]
    inside = all(alphas[0] < alpha < alphas[-1] for alpha, _ in found.values())
    holds = inside and best in (2, 4, 8) and all(end.low > found[best][1].high for end in ends)
    alpha, error = found[best]
    return Verdict(
        bool(holds),
        f"best n = {best} (error {error.mean:.3f} at alpha = {alpha:g}); n = 1: {ends[0].mean:.3f}, "
        f"n = {lookaheads[-1]}: {ends[1].mean:.3f}",
    )


STUDY = Study(
    name="random_walk",
    method="n-step targets",
    experiment="19-state random walk",
    question=(
        "How many steps should a target look ahead? Root mean square error over the first 10 episodes, by step "
        "size alpha."
    ),
    published="an intermediate n (4) has the lowest error, both ends are worse (Sutton & Barto 2018, Figure 7.2)",
    seeds={"quick": 3, "full": 5},
    run=run,
    plot=plot,
    verdict=verdict,
    panels=2,
)
