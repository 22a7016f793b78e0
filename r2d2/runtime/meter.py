"""What is summed up for the log, exact across a resume."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from r2d2.agent.actor import Episode
from r2d2.tracking.names import modernize

RECENT_EPISODES = 50  # over which the mean return in the log is taken; ours


class Meter:
    """Collects numbers; `take` returns means of what was added and totals of what was counted, and clears."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._adds = 0
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, float]) -> None:
        """One sample of each of several means; every call brings the same names."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._adds += 1

    def count(self, name: str, n: int) -> None:
        """Add n to a total."""
        self._counts[name] = self._counts.get(name, 0) + n

    def take(self) -> dict[str, float]:
        taken = {name: total / self._adds for name, total in self._sums.items()} | self._counts
        self._sums, self._adds, self._counts = {}, 0, {}
        return taken

    def state_dict(self) -> dict[str, Any]:
        return {"sums": dict(self._sums), "adds": self._adds, "counts": dict(self._counts)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._sums, self._adds = modernize(state["sums"]), state["adds"]
        self._counts = modernize(state["counts"])


class RecentEpisodes:
    """The training episodes that ended last."""

    def __init__(self) -> None:
        self._episodes: deque[Episode] = deque(maxlen=RECENT_EPISODES)

    def __len__(self) -> int:
        return len(self._episodes)

    def extend(self, episodes: Iterable[Episode]) -> None:
        self._episodes.extend(episodes)

    def means(self) -> dict[str, float]:
        """Mean return and length; nothing before the first episode has ended."""
        if not self._episodes:
            return {}
        return {
            "train/mean_return": float(np.mean([episode.total for episode in self._episodes])),
            "train/mean_length": float(np.mean([episode.length for episode in self._episodes])),
        }

    def state_dict(self) -> list[list[float]]:
        return [list(episode) for episode in self._episodes]

    def load_state_dict(self, state: Iterable[Iterable[Any]]) -> None:
        self._episodes.clear()
        self._episodes.extend(Episode(*episode) for episode in state)
