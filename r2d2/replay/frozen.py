"""Frozen: the state of a replay that is filled once and never written again.

Its steps and items come from where it was filled from, so a state holds only what training changes: priorities, and
recurrent states where they may be refreshed. A sum of the item table tells whether the replay was filled alike.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from r2d2.replay.replay import Replay
from r2d2.replay.saved import Saved


def state_of(replay: Replay) -> dict[str, Any]:
    """What training has changed."""
    state = {
        "items": _sum(replay),
        "late_updates": replay.late_updates,
        "selector": replay.selector.state_dict(),
    }
    return state | ({"core": _cores(replay)} if replay.items.linked else {})


def check_state(replay: Replay, saved: Saved) -> None:
    """Raise ValueError, naming the field, if this is not the state of a replay that was filled alike."""
    if saved.count("items") != _sum(replay):
        raise saved.refuse(
            "items", "are other items: the replay was filled from other steps, or cut otherwise"
        )
    saved.count("late_updates")
    replay.selector.check_state(saved.part("selector"))
    if replay.items.linked:
        saved.array("core", np.float32, (len(replay), replay.items.core.shape[1]))


def load_state(replay: Replay, state: dict[str, Any]) -> None:
    """Go on as when `state_of` was called; the replay is filled."""
    check_state(replay, Saved(state, "replay"))
    replay.late_updates = state["late_updates"]
    replay.selector.load_state_dict(state["selector"])
    if replay.items.linked:
        replay.items.core[replay.items.places] = state["core"]


def _sum(replay: Replay) -> int:
    """A checksum of which steps each item has, and of the goals of hindsight copies."""
    table, places = replay.items.table, replay.items.places
    arrays = [table[name][places] for name in table.dtype.names or ()]
    total = 0
    for array in [*arrays, replay.items.goal[places]]:
        total = zlib.crc32(array.tobytes(), total)
    return total


def _cores(replay: Replay) -> Any:
    return replay.items.core[replay.items.places]
