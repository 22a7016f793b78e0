"""Steps: SB3's transitions as rows of our replay, each observation stored once.

SB3 passes (observation, action, reward, next observation) together, so a row here is an observation with the
action and the reward that *led to it*, and a transition is complete as soon as its second row is written. An
episode of L actions is L + 1 rows; the first has no action. An item is two rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.preprocessing import get_obs_shape

from r2d2.checkpoint.blobs import Blobs
from r2d2.replay import Fifo, Replay, Selector, Sequencer
from r2d2.types import Codec, Column

Ints = NDArray[np.int64]


def observation_columns(space: spaces.Space, codec: Codec) -> dict[str, Column]:
    """A column for each part of an observation; images (uint8 with two axes or more) are compressed."""
    shapes, parts = get_obs_shape(space), parts_of(space)
    columns = {}
    for key, part in parts.items():
        shape = shapes[key] if isinstance(shapes, dict) else shapes
        image = part.dtype == np.uint8 and len(shape) > 1
        columns[column_of(key)] = Column(shape, str(part.dtype), codec if image else "raw")
    return columns


def parts_of(space: spaces.Space) -> dict[str, spaces.Space]:
    """The spaces of a Dict by key; any other space under the empty key."""
    return dict(space.spaces) if isinstance(space, spaces.Dict) else {"": space}


def column_of(key: str) -> str:
    """The name of the column for a key of the observation."""
    return f"observation/{key}"


class Steps:
    """Exactly the last `each` transitions of every stream, whatever the lengths of the episodes.

    Only the number of items limits them: there are enough blocks for episodes of one step. Unused blocks are
    never touched, and take no memory.
    """

    def __init__(
        self, columns: Mapping[str, Column], selector: Selector, *, streams: int, each: int, block: int
    ) -> None:
        compressed = any(column.codec != "raw" for column in columns.values())
        # In compressed columns each episode begins a block; in others it takes one row more than it has steps.
        rows = block * (each + 3) if compressed else 2 * each + 3 * block
        self.replay = Replay(
            columns,
            streams=streams,
            sequencer=Sequencer(streams, burn_in=0, unroll=1, n_step=1, period=1),
            selector=selector,
            remover=Fifo(streams * each),
            capacity=streams * each,
            steps=streams * rows,
            block=block,
        )
        self._over = np.ones(streams, np.bool_)  # the next observation begins an episode
        self._newest: dict[str, NDArray] = {}  # each stream's last observation [N, ...], by column

    def begin(self, before: dict[str, NDArray]) -> NDArray[np.bool_]:
        """Set the streams' current observations [N, ...], before their next action.

        Those that are not the last ones written begin episodes. Returns the streams [N] in which that is
        unexpected: the previous episode had no end.
        """
        known = ~self._over
        for name, rows in self._newest.items():
            known &= (rows == before[name]).reshape(len(known), -1).all(1)
        surprise = ~known & ~self._over
        if known.all():
            return surprise
        self._cut(surprise)
        streams = np.flatnonzero(~known)
        first = {
            name: before[name][streams]
            if name in before
            else np.zeros((len(streams), *column.shape), column.dtype)
            for name, column in self.replay.columns.items()
        }
        self.replay.write(first, np.zeros(len(streams), np.bool_), streams=streams)
        self._over[streams] = False  # so that a rejected transition can be written again
        self._newest = before
        return surprise

    def _cut(self, streams: NDArray[np.bool_]) -> None:
        """Begin episodes with these streams' next rows. Every transition is complete, so no row is missing."""
        state = self.replay.sequencer.state_dict()
        state["episode_row"][streams] = 0
        state["next_item"][streams] = 0
        self.replay.sequencer.load_state_dict(state)

    def write(self, after: dict[str, NDArray], last: NDArray[np.bool_]) -> Ints:
        """Write one action of every stream, its reward and the next observation [N, ...], the last of its episode
        where `last` [N]; returns the ids [N] of the transitions."""
        ids = self.replay.write(after, last)
        self._over = last.copy()
        self._newest = {name: rows for name, rows in after.items() if name not in ("action", "reward")}
        return ids

    def state_dict(self) -> dict[str, Any]:
        """The whole state, which can be pickled."""
        replay = _materialised(self.replay.state_dict())
        return {"replay": replay, "over": self._over.copy(), "newest": dict(self._newest)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.replay.load_state_dict(state["replay"])
        self._over = state["over"].copy()
        self._newest = dict(state["newest"])


def _materialised(state: Any) -> Any:
    """The state of a replay with blobs as bytes instead of views of its arrays."""
    if isinstance(state, Blobs):
        return Blobs(state.keys, [bytes(state.data[i]) for i in range(len(state))])
    if isinstance(state, Mapping):
        return {name: _materialised(value) for name, value in state.items()}
    return state
