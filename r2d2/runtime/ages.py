"""Ages: how old items are, in updates, and how often each was drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


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
        for name, value in modernize(state).items():
            getattr(self, f"_{name}")[:] = value


def modernize(state: Any) -> Any:
    """The state of `Ages` as it is today; until version 0.1 draws were not counted."""
    if isinstance(state, dict) and "drawn" not in state and "ids" in state:
        return state | {"drawn": np.zeros(len(state["ids"]), np.int32)}
    return state
