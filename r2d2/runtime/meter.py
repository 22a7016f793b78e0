"""What a run measures of itself for the log, exact across a resume: means and totals, recent episodes, the ages of
items; and whether the replay is limited as the user meant it."""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.agent.actor import Episode
from r2d2.replay import Mixture, Replay
from r2d2.tracking.names import modernize

RECENT_EPISODES = 50  # over which the mean return in the log is taken; ours
KEPT = 0.9  # share of the steps asked for, below which short episodes are worth a word; ours


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


class Ages:
    """Remembers when each item of a replay of `capacity` places came, and with which weights it was made.

    An item's age is the number of updates since it was inserted; its parameter lag is the number of updates
    between the weights that acted on its last row and now, so it is never less. 20 bytes an item.
    """

    def __init__(self, capacity: int) -> None:
        self._ids = np.full(capacity, -1, np.int64)
        self._inserted = np.zeros(capacity, np.int32)  # updates made before the item came
        self._acted = np.zeros(capacity, np.int32)  # updates in the actor's weights
        self._drawn = np.zeros(capacity, np.int32)  # times

    def insert(self, ids: NDArray[np.int64], *, updates: int, actor_updates: int) -> None:
        """New items [K], made with weights of `actor_updates`, when `updates` have been made."""
        places = ids % len(self._ids)  # an id is generation * capacity + place
        self._ids[places] = ids
        self._inserted[places], self._acted[places] = updates, actor_updates
        self._drawn[places] = 0

    def count(self, ids: NDArray[np.int64]) -> None:
        """These items [K] were drawn, one perhaps several times."""
        places = ids % len(self._ids)
        np.add.at(self._drawn, places[self._ids[places] == ids], 1)

    def of(self, ids: NDArray[np.int64], updates: int) -> dict[str, float]:
        """Mean age and parameter lag of a batch after `updates`, in updates; an item whose place was taken
        since it was drawn is left out."""
        places = ids % len(self._ids)
        places = places[self._ids[places] == ids]
        if len(places) == 0:
            return {"replay/age": float("nan"), "replay/parameter_lag": float("nan")}
        return {
            "replay/age": updates - float(self._inserted[places].mean()),
            "replay/parameter_lag": updates - float(self._acted[places].mean()),
        }

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, f"_{name}").copy() for name in ("ids", "inserted", "acted", "drawn")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in modern_ages(state).items():
            getattr(self, f"_{name}")[:] = value


def modern_ages(state: Any) -> Any:
    """The state of `Ages` as it is today; until version 0.1 draws were not counted."""
    if isinstance(state, dict) and "drawn" not in state and "ids" in state:
        return state | {"drawn": np.zeros(len(state["ids"]), np.int32)}
    return state


class ItemLimit:
    """Says once when the number of items, and not `replay.steps`, limits what a replay keeps.

    An episode makes an item at least, so short episodes use up the items before `replay.steps` are held.

    How short the episodes are is known only once they are played, and a replay does not grow.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps  # asked for
        self._said = False

    def look(self, replay: Replay | Mixture) -> None:
        """Print how many items would do, if all are in use while far fewer steps are held."""
        if self._said or len(replay) < replay.capacity or replay.rows >= KEPT * self.steps:
            return
        self._said = True
        enough = math.ceil(replay.capacity * self.steps / max(1, replay.rows))
        print(
            f"\nepisodes are short: all {replay.capacity:,} items of the replay are in use, with {replay.rows:,} "
            f"of {self.steps:,} steps; a new run with --replay.items {enough} would keep all of them",
            file=sys.stderr,
        )
