"""The tasks of the memory benchmark: what is best, what a guess earns, and when a task counts as solved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

SHARE = 0.95  # of the best return, counted from 0, that counts as solved (ours)


@dataclass(frozen=True)
class Task:
    """One task with its budget in environment steps.

    `guess` is the best return without memory where it is known, NaN elsewhere. `solved` is the return from which
    the task counts as solved. `published` is a number from elsewhere, with its source.
    """

    name: str
    env: str
    steps: int
    best: float
    guess: float = math.nan
    options: Mapping[str, float] = field(default_factory=dict)
    level: float | None = None
    published: str = ""

    @property
    def solved(self) -> float:
        return SHARE * self.best if self.level is None else self.level


def chain(length: int, steps: int, published: str = "") -> Task:
    """bsuite's memory length."""
    return Task(f"chain-{length}", "MemoryChain-v0", steps, 1.0, 0.0, {"length": length}, published=published)


def maze(corridor: int, steps: int) -> Task:
    """A noiseless T-maze (Bakker 2002)."""
    return Task(f"tmaze-{corridor}", "TMaze-v0", steps, 4.0, 1.95, {"corridor": corridor})


def popgym(name: str, steps: int = 200_000, level: float | None = None) -> Task:
    """A task of POPGym (Morad et al. 2023), whose returns lie in [-1, 1]."""
    return Task(name, f"popgym-{name}-v0", steps, 1.0, level=level)


def minigrid(size: int, steps: int) -> Task:
    """MiniGrid's memory corridor; the return is 1 - 0.9 * share of the time used, so it stays below 1."""
    return Task(f"memory-s{size}", f"MiniGrid-MemoryS{size}-v0", steps, 0.95, 0.475, level=0.9 * 0.95)


ZOO = "RecurrentPPO, continuous torque: -218 after 100k steps (RL Baselines3 Zoo, benchmark.md)"
DI_ENGINE = "R2D2 of DI-engine on length 15: solved after 40k to 145k steps (its documentation)"

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("recall", "Recall-v0", 60_000, 1.0, -0.5),
        chain(10, 30_000, DI_ENGINE),
        chain(20, 40_000, DI_ENGINE),
        chain(40, 60_000),
        chain(100, 100_000),
        chain(200, 200_000),
        chain(400, 400_000),
        maze(20, 100_000),
        maze(50, 100_000),
        maze(200, 400_000),
        Task("repeat", "Repeat-v0", 100_000, 32.0, -2 / 3),
        popgym("RepeatPreviousEasy"),
        popgym("RepeatPreviousMedium"),
        popgym("RepeatFirstEasy"),
        popgym("AutoencodeEasy"),
        popgym("CountRecallEasy"),
        popgym("ConcentrationEasy"),
        popgym("HigherLowerEasy", level=0.5),
        popgym("PositionOnlyCartPoleEasy"),
        popgym("NoisyPositionOnlyCartPoleEasy"),
        *(minigrid(size, 300_000) for size in (7, 9, 11, 13)),
        Task("masked-cartpole", "MaskedCartPole-v0", 100_000, 500.0, 46.0),
        Task("masked-pendulum", "MaskedPendulum-v0", 150_000, -150.0, level=-250.0, published=ZOO),
        Task("masked-mountain-car", "MaskedMountainCar-v0", 150_000, -100.0, -200.0, level=-130.0),
        Task("my-way-home", "VizdoomMyWayHome-v0", 300_000, 1.0, level=0.5),
    )
}

# What each tier plays; `night` is everything.
MINUTE = ("chain-10",)
HOUR = (
    "recall",
    "chain-40",
    "chain-100",
    "tmaze-20",
    "tmaze-50",
    "RepeatPreviousEasy",
    "masked-pendulum",
    "memory-s7",
)
TIERS: dict[str, tuple[str, ...]] = {"minute": MINUTE, "hour": HOUR, "night": tuple(TASKS)}
