"""What is run: five games of MinAtar and two memory tasks, with `r2d2-small` and one or more changes to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.stored_state.cells import changed
from experiments.study import Cell
from r2d2.config.presets import preset

BASE = "r2d2-small"

# The preset's numbers are for Atari's two million steps: a shorter run has a smaller replay, that begins earlier.
SHORT: dict[str, Any] = {
    "replay.steps": 100_000, "replay.min_steps": 5_000, "run.steps": 300_000, "run.evaluate_period": 25_000,
    "run.evaluate_episodes": 16, "run.checkpoint_period": 1_000_000_000, "run.video_period": 0,
    "run.group": "next-r2d2",
}  # fmt: skip


@dataclass(frozen=True)
class Task:
    """A task, and the mean return of uniformly random actions there (`python -m experiments.next_r2d2.random`)."""

    env: str
    random: float
    changes: Mapping[str, Any] = field(default_factory=dict)


TASKS: dict[str, Task] = {
    "asterix": Task("MinAtar/Asterix-v1", 0.48),
    "breakout": Task("MinAtar/Breakout-v1", 0.38),
    "freeway": Task("MinAtar/Freeway-v1", 0.37),
    "seaquest": Task("MinAtar/Seaquest-v1", 0.11),
    "space-invaders": Task("MinAtar/SpaceInvaders-v1", 4.15),
    "recall": Task("Recall-v0", -1.0, {"run.steps": 100_000, "run.evaluate_period": 10_000}),
    "chain-20": Task(
        "MemoryChain-v0", 0.0,  # 0.05 was measured, which is chance

        {"env.options": {"length": 20}, "run.steps": 100_000, "run.evaluate_period": 10_000},
    ),
}  # fmt: skip
GAMES = tuple(TASKS)[:5]

# Each alone. A change may be any of `r2d2/config/changes.py`, several with a + between.
VARIANTS = (
    "peng", "retrace", "watkins", "munchausen", "td-normalization", "trust-region", "c51", "hl-gauss", "quantile",
    "adamw", "impala", "frozen-context", "resets",
)  # fmt: skip


def cell(task: str, variant: str, changes: Mapping[str, Any]) -> Cell:
    """A task with a variant, "base" or changes to the preset, as a cell of the study; `changes` come last."""
    name = BASE if variant == "base" else f"{BASE}+{variant}"
    one = TASKS[task]
    config = changed(preset(name), {**SHORT, "env.id": one.env, **one.changes, **changes})
    return Cell(f"{task}-{variant}", name, config, {"task": task, "variant": variant})


def applies(task: str, variant: str) -> bool:
    """Whether a task may be played with a variant: a frozen context is for pictures, not for vectors."""
    return task in GAMES or "frozen-context" not in variant.split("+")


def without_each(variant: str) -> list[str]:
    """A combination of changes without each of them in turn.

    >>> without_each("peng+adamw+c51")
    ['adamw+c51', 'peng+c51', 'peng+adamw']
    """
    parts = variant.split("+")
    return ["+".join(parts[:k] + parts[k + 1 :]) for k in range(len(parts))] if len(parts) > 1 else []


def variants(chosen: Sequence[str], *, minus_one: bool) -> list[str]:
    """The base, what was chosen and, if asked, each combination without each of its changes."""
    less = [found for variant in chosen for found in without_each(variant)] if minus_one else []
    return list(dict.fromkeys(["base", *chosen, *less]))
