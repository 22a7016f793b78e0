"""Probe: keeps the true recurrent states of some items, to measure the staleness of those used in training.

Replay keeps the state before an item's first row. Delta-Q compares the states at the first and at the last
trained step, so for a small share of the items the actor's states there are kept as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.agent.learner import Learner
from r2d2.agent.staleness import delta_q
from r2d2.build import agents as build
from r2d2.config import Config
from r2d2.replay import Mixture, Replay, Sequencer
from r2d2.types import Rows, SequenceLayout

# Updates between two measurements (ours). One costs less than the forward pass of the online network over one
# batch, at most a quarter of an update with its two networks and its backward pass: below 1 % of learning.
PERIOD = 50


def make_probe(config: Config, *, core_size: int, capacity: int) -> Probe:
    """The probe of a run whose replay has room for `capacity` items; off without recurrent states."""
    items = min(config.run.probe_items, capacity) if core_size else 0
    stride = capacity // max(items, 1)
    return Probe(config.env.num_envs, build.layout(config), core_size=core_size, items=items, stride=stride)


class Probe:
    """Keeps the states of every `stride`-th new item, the newest `items` of them; 0 turns it off.

    With `stride` = capacity / items they cover all ages in the replay. The memory is 2 `items` core states, and
    one for each row of each stream that an item under construction may need. A write of which the replay
    refused some items is skipped, since there is no telling which.
    """

    def __init__(
        self, streams: int, layout: SequenceLayout, *, core_size: int, items: int, stride: int
    ) -> None:
        # Cuts as the replay's does. Without burn-in and context an item's first row is its first trained one.
        self._sequencer = Sequencer(streams, **layout._replace(burn_in=0, context=0)._asdict())
        self._no_core = np.zeros((streams, 0), np.float32)
        self._row = np.zeros(streams, np.int64)
        self._recent = np.zeros(
            (streams, layout.unroll + layout.n_step, core_size), np.float32
        )  # by row, in a ring
        self.stride = stride
        self.offered = 0  # new items so far
        self.measured_at = 0  # updates
        self.ids = np.full(items, -1, np.int64)
        self.first = np.zeros((items, core_size), np.float32)  # true states before the first trained step
        self.last = np.zeros((items, core_size), np.float32)  # and before the last one

    def write(self, rows: Rows, ids: NDArray[np.int64]) -> None:
        """Add rows after the replay did; `ids` are the new items, as the replay's write returned them."""
        if len(self.ids) == 0:
            return
        ring = self._recent.shape[1]
        streams = rows.streams
        self._recent[streams, self._row[streams] % ring] = rows.core
        none = self._no_core[: len(streams)]
        items, _ = self._sequencer.advance(streams, self._row[streams], rows.last, none)
        self._row[streams] += 1
        if len(items) != len(ids):
            return
        number = self.offered + np.arange(len(ids))
        self.offered += len(ids)
        chosen = np.flatnonzero(number % self.stride == 0)
        if len(chosen) == 0:
            return
        place = number[chosen] // self.stride % len(self.ids)
        stream, row = items.stream[chosen], items.row[chosen]
        self.ids[place] = ids[chosen]
        self.first[place] = self._recent[stream, row % ring]
        self.last[place] = self._recent[stream, (row + items.length[chosen] - 1) % ring]

    def measure(self, learner: Learner, replay: Replay | Mixture, items: int) -> dict[str, float]:
        """Mean and median Delta-Q at the first and the last trained step of up to `items` kept items, evenly
        spread over their ages; nothing if there are none, or if the last measurement is too recent."""
        kept = len(self.ids)
        places = (-(-self.offered // self.stride) + np.arange(kept)) % max(kept, 1)  # oldest first
        places = places[self.ids[places] >= 0]
        places = places[replay.holds(self.ids[places])]
        if len(places) == 0 or learner.updates < self.measured_at + PERIOD:
            return {}
        self.measured_at = learner.updates
        places = places[np.linspace(0, len(places) - 1, min(items, len(places))).astype(np.int64)]
        batch = replay.get(self.ids[places], learner.network.inputs.columns)
        found = delta_q(learner, batch, self.first[places], self.last[places])
        return {
            f"replay/delta_q_{name}": float(function(values))
            for where, values in zip(("first", "last"), found, strict=True)
            for name, function in ((where, np.mean), (f"{where}_median", np.median))
        }

    def state_dict(self) -> dict[str, Any]:
        """The state at a barrier, where no item is under construction."""
        return {name: getattr(self, name) for name in ("offered", "measured_at")} | {
            name: getattr(self, name).copy() for name in ("ids", "first", "last")
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.offered, self.measured_at = state["offered"], state["measured_at"]
        for name in ("ids", "first", "last"):
            getattr(self, name)[:] = state[name]
