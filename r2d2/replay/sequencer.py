"""Sequencer: decides which steps become items, and when.

Item k of an episode trains on the actions [k * period, k * period + unroll). It is warmed up by the up to
`burn_in` steps before them and followed by up to `n_step` rows for the targets. Item 0 starts at the first
action; at the end of the episode the last items are shorter (the rest is padding) so that every action is
trained in at least one item, one-step episodes too. Items never cross an episode's end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.kernels import index as kernels
from r2d2.types import Items

Ints = NDArray[np.int64]

MOST = 2**15 - 1  # steps of each part of an item: the item table counts them in 16 bits


class Sequencer:
    """Cuts streams into items. `core_size` floats of recurrent state are kept per item under construction."""

    def __init__(
        self,
        streams: int,
        *,
        burn_in: int,
        unroll: int,
        n_step: int,
        period: int,
        context: int = 0,
        core_size: int = 0,
    ) -> None:
        for name, value, least in (
            ("streams", streams, 1),
            ("burn_in", burn_in, 0),
            ("unroll", unroll, 1),
            ("n_step", n_step, 1),
            ("context", context, 0),
            ("core_size", core_size, 0),
        ):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
            if value > MOST and name not in ("streams", "core_size"):
                raise ValueError(f"{name} must be at most {MOST} steps, got {value}")
        if not 1 <= period <= unroll:
            raise ValueError(
                f"period must be in [1, unroll={unroll}] so that no action is skipped, got {period}"
            )
        self.burn_in, self.unroll, self.n_step, self.period = burn_in, unroll, n_step, period
        self.context, self.streams, self.core_size = context, streams, core_size
        self.items_at_once = (
            burn_in + unroll + n_step
        ) // period + 2  # per stream: under construction at most
        self._episode_row = np.zeros(streams, np.int64)
        self._next_item = np.zeros(streams, np.int64)
        self._pending = np.zeros((streams, self.items_at_once, core_size), np.float32)
        # As the kernels take them: each stream's row and next item in its episode, and the states of
        # items under construction.
        self.arrays = (self._episode_row, self._next_item, self._pending)
        self.sizes = (burn_in, unroll, n_step, period, context)

    @property
    def rows(self) -> int:
        """Rows of the longest item, context included."""
        return self.context + self.burn_in + self.unroll + self.n_step

    @property
    def window(self) -> int:
        """The most rows of a stream that items under construction can need."""
        return self.rows + self.period

    def check(self, streams: Ints, last: NDArray[np.bool_], core: NDArray[np.float32]) -> None:
        """Refuse a final row where no action came before it, and a recurrent state [K, C] that is to be kept but
        is not finite; call before anything is written."""
        index, reason = kernels.refused(streams, last, core, self.sizes, self.arrays)
        if reason == 1:
            raise ValueError(
                f"last is set for stream {int(streams[index])} at the first row of an episode: "
                "an episode needs at least one action before its final observation"
            )
        if reason == 2:
            raise ValueError(f"core must be finite, got NaN or infinity in stream {int(streams[index])}")

    def advance(
        self, streams: Ints, rows: Ints, last: NDArray[np.bool_], core: NDArray[np.float32]
    ) -> tuple[Items, Ints]:
        """Take in one row of each stream; returns the items it completes and the streams' low-water rows.

        `rows` [K] are the stream rows, `last` [K] marks rows that hold only a final observation, `core`
        [K, C] is the recurrent state before each row's observation. (A replay does the same within one kernel.)
        """
        out = np.empty((len(streams) * self.items_at_once, 7), np.int64)
        low_water = np.empty(len(streams), np.int64)
        count = kernels.advance(streams, rows, last, core, self.sizes, self.arrays, out, low_water)
        stream, row, context, burn_in, length, lookahead, number = out[:count].T
        cores = self._pending[stream, number % self.items_at_once]
        return Items(stream, row, context, burn_in, length, lookahead, number, cores), low_water

    def state_dict(self) -> dict[str, Any]:
        return {
            "episode_row": self._episode_row.copy(),
            "next_item": self._next_item.copy(),
            "pending": self._pending.copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._episode_row[:] = state["episode_row"]
        self._next_item[:] = state["next_item"]
        self._pending[:] = state["pending"]
