"""Bit flipping: how many bits can DQN learn to set, with and without hindsight?

Andrychowicz et al. (2017), section 4.1, Figure 1; strategies and copies as in their section 4.5. n bits, an
action flips one of them, and the reward is -1 until they match the goal, for at most n steps. A random episode
reaches its goal with probability n / 2^n, so for larger n there is no reward but -1 without hindsight.

Prediction: DQN alone fails beyond a dozen bits, with hindsight 15, 25 and more are solved; goals of the same
episode (future, episode, final) help, those of any episode (random) least. The agent, its sizes and the cycles of
16 episodes and 40 updates are the paper's (one hidden layer of 256, discount 0.98, epsilon 0.2, batch 128,
clipped targets); the paper trains for 10,000 cycles, we for `CYCLES`, with a faster target network.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from experiments.replay.goal_dqn import GoalDQN
from experiments.replay.study import Row, Study, Tier, Verdict, curve, distinct, over_seeds, select
from experiments.style import BLUE, GRAY, GREEN, LIGHT, ORANGE
from r2d2.envs.make import make
from r2d2.envs.vector import VectorEnv
from r2d2.replay import Column, Fifo, Hindsight, Replay, Sequencer, Uniform
from r2d2.replay.relabelers.goals import Strategy

HIDDEN, BATCH, EPSILON = 256, 128, 0.2  # the paper's
EPISODES, UPDATES = 16, 40  # of a cycle, the paper's
STEPS = 50_000  # kept; ours, more than most runs make (the paper has a million)
FOLLOW = 4  # updates between steps of the target network; the paper has 40, too slow for so few cycles
TESTS = 128  # greedy episodes of an evaluation; ours

SOLVED, FAILED = 0.9, 0.1  # success; ours

BITS: dict[Tier, tuple[int, ...]] = {"quick": (5, 11), "full": (5, 10, 15, 20, 30)}
CYCLES: dict[Tier, int] = {"quick": 28, "full": 200}
BUSY: dict[Tier, int] = {"quick": 8, "full": 15}  # bits at which strategies and copies are compared
LOOKS: dict[Tier, int] = {"quick": 4, "full": 10}  # evaluations in a run
SHORT: dict[Tier, int] = {"quick": 15, "full": 60}  # cycles of these runs, in which no strategy is done
COPIES: dict[Tier, tuple[int, ...]] = {"quick": (4,), "full": (1, 2, 4, 8)}
COLORS = {
    "random": BLUE, "none": GRAY, "final": LIGHT, "episode": GREEN, "future": ORANGE,
}  # fmt: skip
NAMES = {strategy: f"goals: {strategy}" for strategy in COLORS} | {"none": "no hindsight (DQN alone)"}


def goal_replay(environments: VectorEnv, strategy: str, copies: int, rng: np.random.Generator) -> Replay:
    """Single transitions of the task, with hindsight copies unless the strategy is `none`."""
    spec, n = environments.spec, environments.num_envs
    goals, longest = spec.goals, spec.max_episode_steps
    assert goals is not None
    assert longest is not None
    sequencer = Sequencer(n, burn_in=0, unroll=1, n_step=1, period=1)
    hindsight, versions = None, 1
    if strategy != "none":
        kind: Strategy = strategy  # type: ignore[assignment]
        hindsight, versions = Hindsight(
            sequencer, goal_size=goals.size, longest=longest, outcome=goals.outcome, rng=rng, strategy=kind,
            copies=copies,
        ), 1 + copies  # fmt: skip
    capacity = versions * STEPS
    columns = {"observation": Column(spec.observation_shape), "action": Column((), "int64"), "reward": Column(),
               "terminated": Column((), "bool")}  # fmt: skip
    return Replay(columns, streams=n, sequencer=sequencer, selector=Uniform(capacity), remover=Fifo(capacity),
                  capacity=capacity, steps=STEPS, relabeler=hindsight)  # fmt: skip


def success(agent: GoalDQN, bits: int, seed: int) -> float:
    """Share of greedy episodes that reach their goal."""
    environments = make("BitFlipping-v0", TESTS, options={"bits": bits})
    observation, reached = environments.reset(seed), np.zeros(TESTS, np.bool_)
    running = ~reached
    for _ in range(bits):
        result = environments.step(agent.values(observation[:, : 2 * bits]).argmax(1))
        reached |= running & result.terminated
        running &= ~(result.terminated | result.truncated)
        observation = result.observation
    return float(reached.mean())


def learn(
    bits: int, strategy: str, copies: int, cycles: int, looks: int, seed: int
) -> list[tuple[int, float]]:
    """(updates, success) at evenly spaced points of a run, the last at its end."""
    rng = np.random.default_rng(seed)
    environments = make("BitFlipping-v0", EPISODES, options={"bits": bits})
    replay = goal_replay(environments, strategy, copies, rng)
    agent = GoalDQN(2 * bits, HIDDEN, bits, rng)
    observation, last = environments.reset(1000 * seed), np.zeros(EPISODES, np.bool_)
    marks = {cycles * (look + 1) // looks for look in range(looks)}
    found, out = [], None
    for cycle in range(1, cycles + 1):
        for _ in range(bits + 1):  # the longest episode's rows, its final observation included
            action = agent.values(observation[:, : 2 * bits]).argmax(1)
            explore = rng.random(EPISODES) < EPSILON
            action = np.where(explore, rng.integers(bits, size=EPISODES), action)
            result = environments.step(action)
            row = {"observation": observation, "action": action, "reward": result.reward,
                   "terminated": result.terminated}  # fmt: skip
            replay.write(row, last)
            observation, last = result.observation, result.terminated | result.truncated
        for k in range(UPDATES):
            out = replay.sample(BATCH, rng, out=out)
            seen: NDArray[np.float32] = out.columns["observation"][..., : 2 * bits]
            action, reward, over = (out.columns[name][:, 0] for name in ("action", "reward", "terminated"))
            agent.update(seen[:, 0], action, reward, over, seen[:, 1])
            if k % FOLLOW == 0:
                agent.follow()
        if cycle in marks:
            found.append((agent.updates, success(agent, bits, 1000 * seed + 500)))
    return found


def run(tier: Tier, seed: int) -> list[Row]:
    """Success over a run for every number of bits with and without hindsight, every strategy and every k."""
    busy, copies = BUSY[tier], COPIES[tier]
    cells = [(n, strategy, 4, CYCLES[tier]) for n in BITS[tier] for strategy in ("none", "future")]
    cells += [
        (busy, strategy, k, SHORT[tier]) for strategy in ("future", "episode", "random") for k in copies
    ]
    cells += [(busy, "final", 1, SHORT[tier]), (busy, "none", 0, SHORT[tier])]
    return [
        {"bits": bits, "strategy": strategy, "copies": k, "cycles": cycles, "updates": at, "success": share}
        for bits, strategy, k, cycles in cells
        for at, share in learn(bits, strategy, k, cycles, LOOKS[tier], seed)
    ]


def _ends(rows: list[Row], cycles: int) -> list[Row]:
    """The last evaluation of the runs with `cycles` cycles."""
    chosen = select(rows, cycles=cycles)
    return select(chosen, updates=max(row["updates"] for row in chosen))


def _mean_success(rows: list[Row]) -> list[Row]:
    """Success averaged over each run, which is higher the sooner it learns."""
    keys = ("seed", "bits", "strategy", "copies")
    runs = distinct([{"run": tuple(row[key] for key in keys)} for row in rows], "run")
    return [
        dict(zip(keys, run, strict=True))
        | {"success": mean(row["success"] for row in select(rows, **dict(zip(keys, run, strict=True))))}
        for run in runs
    ]


def plot(rows: list[Row], axes: Sequence[Axes]) -> None:
    """Figure 1 of the paper, learning curves of the strategies, and the number of copies."""
    long, short = max(distinct(rows, "cycles")), min(distinct(rows, "cycles"))
    for strategy in ("future", "none"):
        curve(axes[0], _ends(rows, long), "bits", "success", label=NAMES[strategy], color=COLORS[strategy],
              strategy=strategy)  # fmt: skip
    axes[0].set_xlabel("bits")
    axes[0].set_title(f"after {long} cycles")
    brief = select(rows, cycles=short)
    busy = brief[0]["bits"]
    for strategy, color in COLORS.items():
        chosen = select(brief, strategy=strategy)
        usual = {"final": 1, "none": 0}.get(strategy, 4)
        style = "--" if strategy == "none" else "-"
        curve(
            axes[1],
            chosen,
            "updates",
            "success",
            label=NAMES[strategy],
            color=color,
            style=style,
            copies=usual,
        )
        if len(distinct(chosen, "copies")) > 1:
            curve(
                axes[2],
                _mean_success(chosen),
                "copies",
                "success",
                label=NAMES[strategy],
                color=color,
                style="o-",
            )
    axes[1].set_xlabel("updates")
    axes[1].set_title(f"{busy} bits")
    axes[2].set_xlabel("copies of each transition, k")
    axes[2].set_title(f"{busy} bits, mean over {short} cycles")
    for axis in axes:
        axis.set(ylim=(-0.03, 1.03), ylabel="success")


def verdict(rows: list[Row]) -> Verdict:
    """DQN alone fails where hindsight succeeds, and goals of the same episode beat those of any episode."""
    long, short = max(distinct(rows, "cycles")), min(distinct(rows, "cycles"))
    ends = _ends(rows, long)
    bits = sorted(distinct(ends, "bits"))
    found = {
        strategy: {n: over_seeds(ends, "success", bits=n, strategy=strategy).mean for n in bits}
        for strategy in ("future", "none")
    }
    few, hard = bits[0], [n for n in bits if n > 10]
    solved = [n for n in bits if found["future"][n] >= SOLVED]
    areas = _mean_success(select(rows, cycles=short))
    area = {
        strategy: over_seeds(areas, "success", strategy=strategy, copies=k).mean
        for strategy, k in (("future", 4), ("episode", 4), ("random", 4), ("final", 1))
    }
    holds = (
        max(found["none"][n] for n in hard) < FAILED
        and found["none"][few] > FAILED
        and set(bits[:2]) <= set(solved)
        and len([n for n in solved if n > 10]) >= 1
        and all(area[name] > area["random"] for name in ("future", "episode", "final"))
    )
    order = ", ".join(f"{name} {area[name]:.2f}" for name in sorted(area, key=lambda name: -area[name]))
    return Verdict(
        holds,
        f"hindsight solves {', '.join(map(str, solved))} bits (success >= {SOLVED:g}), at {bits[-1]} "
        f"{found['future'][bits[-1]]:.2f}; DQN alone {found['none'][few]:.2f} at {few}, at most "
        f"{max(found['none'][n] for n in hard):.2f} beyond 10; mean success over a run: {order}",
        f"runs have {long} cycles instead of 10,000, and a target network that follows ten times as fast; the "
        "number of copies hardly matters here.",
    )


STUDY = Study(
    name="bit_flipping",
    method="hindsight replay",
    experiment="bit flipping",
    question="n bits are to be set as desired; nothing but reaching the goal is rewarded. Up to which n is that "
    "learned, and which goals and how many copies of a transition help?",
    published="DQN alone fails beyond a dozen bits, with hindsight up to 50 are solved; goals of the future are "
    "best, with k = 4 or 8 (Andrychowicz et al. 2017, Figures 1 and 6)",
    seeds={"quick": 1, "full": 3},
    run=run,
    plot=plot,
    verdict=verdict,
    panels=3,
)
