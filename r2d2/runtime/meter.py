"""What a run measures for the log, exact across a resume: means and totals, recent episodes, the ages of items."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.agent.actor import Episode
from r2d2.replay import Mixture, RateLimiter, Replay
from r2d2.replay.rows import extended
from r2d2.replay.saved import Saved
from r2d2.tracking.names import modernize

RECENT_EPISODES = 50  # over which the mean return in the log is taken; ours
_NONE = {"ids": -1, "inserted": 0, "acted": 0, "drawn": 0}  # for a place without an item


class Meter:
    """Collects numbers; `take` returns the means of `add` and the totals of `count`, and clears both."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._adds = 0
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, float]) -> None:
        """One sample for each of several means; every call has the same names."""
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
    """The most recent training episodes."""

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


def replay_measures(replay: Replay | Mixture, limiter: RateLimiter, steps: int) -> dict[str, float]:
    """How much a replay of `steps` steps holds, and how often its steps were sampled."""
    return {
        "replay/fill": min(1.0, replay.rows / steps),
        "replay/items": len(replay),
        "replay/ratio": limiter.measured_ratio,
        "replay/late_updates": replay.late_updates,
        "memory/replay_bytes": replay.nbytes,
        "memory/bytes_per_step": sum(replay.step_nbytes.values()),
    }


class Ages:
    """Records when each item of a replay was inserted, and the weights that acted; `places` is the replay's.

    An item's age is the number of updates since it was inserted; its parameter lag is the number of updates
    between the weights that acted on its last row and now, so it is never less. 20 bytes an item.
    """

    def __init__(self, places: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> None:
        self._places = places
        self._ids = np.empty(0, np.int64)
        self._inserted = np.empty(0, np.int32)  # updates made before the item was inserted
        self._acted = np.empty(0, np.int32)  # updates in the actor's weights
        self._drawn = np.empty(0, np.int32)  # times

    def insert(self, ids: NDArray[np.int64], *, updates: int, actor_updates: int) -> None:
        """New items [K], inserted after `updates`, made with the weights of `actor_updates`."""
        places = self._places(ids)
        self._extend(int(places.max(initial=-1)) + 1)
        self._ids[places] = ids
        self._inserted[places], self._acted[places] = updates, actor_updates
        self._drawn[places] = 0

    def _extend(self, length: int) -> None:
        """Make room for at least `length` places."""
        if length > len(self._ids):
            length = max(length, 2 * len(self._ids))
            for name, none in _NONE.items():
                setattr(self, f"_{name}", extended(getattr(self, f"_{name}"), length, none))

    def count(self, ids: NDArray[np.int64]) -> None:
        """These items [K] were drawn; an item may occur several times."""
        np.add.at(self._drawn, self._known(ids), 1)

    def _known(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The places of those items among `ids` [K] that are still recorded."""
        places = self._places(ids)
        inside = places < len(self._ids)
        places, ids = places[inside], ids[inside]
        return places[self._ids[places] == ids]

    def of(self, ids: NDArray[np.int64], updates: int) -> dict[str, float]:
        """Mean age and parameter lag of a batch after `updates`, in updates; an item that was replaced since it
        was drawn is left out."""
        places = self._known(ids)
        if len(places) == 0:
            return {"replay/age": float("nan"), "replay/parameter_lag": float("nan")}
        return {
            "replay/age": updates - float(self._inserted[places].mean()),
            "replay/parameter_lag": updates - float(self._acted[places].mean()),
        }

    def acted(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The updates in the weights that acted on the last step of each item [K]; -1 where that is not known."""
        places = self._places(ids)
        known = places < len(self._ids)
        known[known] = self._ids[places[known]] == ids[known]
        found = np.full(len(ids), -1, np.int64)
        found[known] = self._acted[places[known]]
        return found

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, f"_{name}").copy() for name in ("ids", "inserted", "acted", "drawn")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state, after the replay has loaded its own."""
        known = state["ids"] >= 0
        places = self._places(state["ids"][known])
        length = max(len(known), int(places.max(initial=-1)) + 1)
        for name, none in _NONE.items():
            values = np.full(length, none, state[name].dtype)
            values[places] = state[name][known]
            setattr(self, f"_{name}", values)


def checked_ages(state: Any) -> Any:
    """The state of an `Ages` in today's format, or a ValueError; up to version 0.1 draws were not counted."""
    if isinstance(state, dict) and "drawn" not in state and "ids" in state:
        state = state | {"drawn": np.zeros(len(state["ids"]), np.int32)}
    saved = Saved(state, "ages")
    length = len(saved.array("ids", np.int64, (None,), low=-1))
    for name in ("inserted", "acted", "drawn"):
        saved.array(name, np.int32, (length,), low=0)
    return state
