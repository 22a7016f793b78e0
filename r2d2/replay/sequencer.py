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

from r2d2.replay.checks import check_count
from r2d2.replay.kernels import cutting
from r2d2.replay.kernels.blocks import MOST
from r2d2.replay.kernels.table import ITEM_FIELDS, NEW_ITEM
from r2d2.replay.saved import Saved
from r2d2.types import Items, SequenceLayout

Ints = NDArray[np.int64]


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
        streams = check_count("streams", streams)
        burn_in = check_count("burn_in", burn_in, least=0, most=MOST, units="steps")
        unroll = check_count("unroll", unroll, most=MOST, units="steps")
        n_step = check_count("n_step", n_step, most=MOST, units="steps")
        context = check_count("context", context, least=0, most=MOST, units="steps")
        core_size = check_count("core_size", core_size, least=0)
        if not 1 <= check_count("period", period, least=-MOST) <= unroll:
            raise ValueError(
                f"period must be in [1, unroll={unroll}] so that no action is skipped, got {period}"
            )
        self.burn_in, self.unroll, self.n_step, self.period = burn_in, unroll, n_step, period
        self.context, self.streams, self.core_size = context, streams, core_size
        # Of each stream, at most: those under construction, or that one row completes.
        self.items_at_once = (burn_in + unroll + n_step) // period + 2
        self.layout = SequenceLayout(burn_in, unroll, n_step, period, context)
        self.cutter = cutting.Cutter(
            episode_row=np.zeros(streams, np.int64),
            next_item=np.zeros(streams, np.int64),
            pending=np.zeros((streams, self.items_at_once, core_size), np.float32),
        )
        self.plain = (tuple(self.layout), tuple(self.cutter))  # as the kernels take them

    @property
    def rows(self) -> int:
        """Rows of the longest item, context included."""
        return self.context + self.burn_in + self.unroll + self.n_step

    @property
    def lead(self) -> int:
        """Rows before the first trained one of an item that is not cut short by the beginning of its episode."""
        return self.context + self.burn_in

    @property
    def window(self) -> int:
        """The most rows of a stream that items under construction can need."""
        return self.rows + self.period

    def check(self, streams: Ints, last: NDArray[np.bool_], core: NDArray[np.float32]) -> None:
        """Refuse a final row where no action came before it, and a recurrent state [K, C] that is to be kept but
        is not finite; call before anything is written."""
        index, reason = cutting.refused(streams, last, core, *self.plain)
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
        """Process one row of each stream; returns the items it completes and the streams' low-water rows.

        `rows` [K] are the stream rows, `last` [K] marks rows that hold only a final observation, `core`
        [K, C] is the recurrent state before each row's observation. (A replay does the same within one kernel.)
        """
        out = np.empty(len(streams) * self.items_at_once, NEW_ITEM)
        low_water = np.empty(len(streams), np.int64)
        new = out[: cutting.advance(streams, rows, last, core, self.layout, self.cutter, out, low_water)]
        fields = {name: new[name] for name in ("stream", "row", *ITEM_FIELDS, "number")}
        return Items(**fields, core=self.pending_of(new)), low_water

    def enter(self, stream: int, row: int) -> None:
        """Continue a stream at this row of an episode, whose earlier rows are lost, with the items that need
        them."""
        self.cutter.episode_row[stream] = row
        self.cutter.next_item[stream] = -(-(row + self.lead) // self.period) if row else 0

    def pending_of(self, new: NDArray) -> NDArray[np.float32]:
        """The recurrent states [K, C] of items (NEW_ITEM) that the last rows completed."""
        return self.cutter.pending[new["stream"], new["number"] % self.items_at_once]

    def state_dict(self) -> dict[str, Any]:
        return {name: array.copy() for name, array in self.cutter._asdict().items()}

    def check_state(self, saved: Saved) -> None:
        for name, array in self.cutter._asdict().items():
            saved.array(name, array.dtype, array.shape, low=None if name == "pending" else 0)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.check_state(Saved(state, "sequencer"))
        for name, array in self.cutter._asdict().items():
            array[:] = state[name]
