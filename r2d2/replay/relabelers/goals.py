"""Which goals hindsight copies get: the strategies of hindsight experience replay (section 4.5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.kernels.table import ITEM_FIELDS
from r2d2.replay.saved import Saved
from r2d2.replay.sequencer import Sequencer

Goals = NDArray[np.float32]  # [K, G]
Strategy = Literal["final", "future", "episode", "random"]


class GoalBank:
    """A uniform sample of all goals [G] ever added (Vitter's algorithm R)."""

    def __init__(self, size: int, goal_size: int) -> None:
        self._goals = np.zeros((size, goal_size), np.float32)
        self._seen = 0

    def add(self, goals: Goals, rng: np.random.Generator) -> None:
        """Offer goals [K, G], one after the other."""
        number = self._seen + np.arange(len(goals))
        self._seen += len(goals)
        place = np.where(number < len(self._goals), number, rng.integers(number + 1))
        kept = place < len(self._goals)
        for at, goal in zip(place[kept].tolist(), goals[kept], strict=True):
            self._goals[at] = goal

    def draw(self, n: int, rng: np.random.Generator) -> Goals:
        """n of them, with replacement."""
        return self._goals[rng.integers(min(self._seen, len(self._goals)), size=n)]

    def state_dict(self) -> dict[str, Any]:
        return {"goals": self._goals[: self._seen].copy(), "seen": self._seen}

    def check_state(self, saved: Saved) -> None:
        held = min(saved.count("seen"), len(self._goals))
        saved.array("goals", np.float32, (held, self._goals.shape[1]))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._seen = state["seen"]
        self._goals[: self._seen] = state["goals"]


@dataclass(frozen=True)
class Source:
    """What strategies draw goals with: how items are cut, random numbers, and the goals of all episodes so far."""

    sequencer: Sequencer
    rng: np.random.Generator
    bank: GoalBank


# What a copy's goal is: each takes copies [n] (`NEW_ITEM`) and the goals achieved in the
# episode [L + 1, G], what it may draw from, and returns the copies' goals [n, G]. It may shorten the copies.


def final(copies: NDArray, achieved: Goals, source: Source) -> Goals:
    """What the episode achieved in the end."""
    return np.repeat(achieved[-1:], len(copies), 0)


def future(copies: NDArray, achieved: Goals, source: Source) -> Goals:
    """What the episode achieved after the item's first trained step; the copy ends where the goal is reached."""
    actions, first = len(achieved) - 1, copies["number"] * source.sequencer.period
    at = source.rng.integers(first + 1, actions + 1)  # the row in which the goal is reached
    copies["length"] = np.minimum(copies["length"], at - first)
    left = actions - (first + copies["length"] - 1)
    copies["lookahead"] = np.minimum(source.sequencer.n_step, left)
    copies["rows"] = sum(copies[name] for name in ITEM_FIELDS)
    return achieved[at]


def episode(copies: NDArray, achieved: Goals, source: Source) -> Goals:
    """What the episode achieved at any time."""
    return achieved[source.rng.integers(1, len(achieved), size=len(copies))]


def random(copies: NDArray, achieved: Goals, source: Source) -> Goals:
    """What any episode so far achieved."""
    source.bank.add(achieved[1:], source.rng)
    return source.bank.draw(len(copies), source.rng)


STRATEGIES: dict[str, Callable[[NDArray, Goals, Source], Goals]] = {
    "final": final,
    "future": future,
    "episode": episode,
    "random": random,
}
