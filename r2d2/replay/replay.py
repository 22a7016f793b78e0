"""Replay: storage, sequencer, selector and remover put together.

Write one row for each stream, sample a batch, send priorities back::

    sequencer = Sequencer(64, burn_in=40, unroll=80, n_step=5, period=40)
    replay = Replay(columns, streams=64, sequencer=sequencer, selector=Proportional(100_000),
                    remover=Fifo(100_000), capacity=100_000, steps=4_000_000)
    replay.write(values, last)
    batch = replay.sample(64, rng, beta=0.6)
    replay.update_priorities(batch.ids, priorities)

It is a library of its own: it needs numpy and a compiler of array code, and knows nothing of networks,
environments or training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.removers import Remover
from r2d2.replay.selectors import Selector
from r2d2.replay.sequencer import Sequencer
from r2d2.replay.storage import Storage
from r2d2.types import Batch, Column, Items

Ints = NDArray[np.int64]

_FIELDS: dict[str, type] = {
    "slot": np.int32,
    "offset": np.int32,
    "context": np.int16,
    "burn_in": np.int32,
    "length": np.int32,
    "lookahead": np.int16,
    "generation": np.int32,
}


class Replay:
    """Sequences of steps that can be written, drawn by priority and given up.

    `capacity` is the most items, `steps` the most steps that are kept; whichever is reached first makes the
    remover give up items. `block` is the number of steps stored (and compressed) together.
    """

    def __init__(
        self,
        columns: Mapping[str, Column],
        *,
        streams: int,
        sequencer: Sequencer,
        selector: Selector,
        remover: Remover,
        capacity: int,
        steps: int,
        block: int = 40,
        core_size: int = 0,
    ) -> None:
        if block < 1:
            raise ValueError(f"block must be at least 1 step, got {block}")
        if steps < sequencer.rows:
            raise ValueError(
                f"steps must be at least the {sequencer.rows} rows of one item "
                f"(context + burn_in + unroll + n_step), got {steps}"
            )
        at_once = streams * sequencer.items_at_once
        if capacity < at_once:
            raise ValueError(
                f"capacity must be at least {at_once} items, as many as one write can finish "
                f"(streams * items under construction), got {capacity}"
            )
        widest = max((column.context for column in columns.values()), default=0)
        if widest != sequencer.context:
            raise ValueError(
                f"the sequencer's context must be the columns' widest, {widest}, got {sequencer.context}"
            )
        writers = streams * (sequencer.window // block + 3)
        self.columns = dict(columns)
        self.streams = streams
        self.sequencer, self.selector, self.remover = sequencer, selector, remover
        self.capacity = capacity
        self.storage = Storage(
            columns, streams=streams, slots=-(-steps // block) + writers, block=block, window=sequencer.window
        )
        self._table: dict[str, NDArray] = {name: np.zeros(capacity, dtype) for name, dtype in _FIELDS.items()}
        self._live = np.zeros(capacity, np.bool_)
        self._core = np.zeros((capacity, core_size), np.float32)
        self._free = np.arange(capacity)[::-1].copy()
        self._free_count = capacity
        self._no_core = np.zeros((streams, core_size), np.float32)
        self.steps_written = 0
        self.late_updates = 0  # priorities that arrived after their item was given up

    def __len__(self) -> int:
        return self.capacity - self._free_count

    # -- write -----------------------------------------------------------------------------------------

    def write(
        self,
        values: Mapping[str, NDArray],
        last: NDArray[np.bool_],
        *,
        streams: Ints | None = None,
        core: NDArray[np.float32] | None = None,
    ) -> Ints:
        """Append one row to each stream (or to `streams`, all different); returns the new items' ids.

        `values` holds every column [K, ...]. `last` [K] marks rows that hold only the final observation of
        their episode; the stream's next row begins a new one. `core` [K, C] is the recurrent state before
        the row's observation. Nothing is stored when an argument is refused.
        """
        streams, core = self._check(values, last, streams, core)
        short = self.storage.blocks_needed(streams) - self.storage.free_blocks
        while short > 0:
            if len(self) == 0:
                raise RuntimeError("the replay has no free block and no item to give up: raise `steps`")
            self._remove(self.remover.pop(short))
            short = self.storage.blocks_needed(streams) - self.storage.free_blocks
        rows = self.storage.append(values, streams)
        self.steps_written += int(np.count_nonzero(~last))
        items, low_water = self.sequencer.advance(streams, rows, last, core)
        ids = self._insert(items)
        self.storage.unhold(streams, low_water)
        return ids

    def _check(
        self,
        values: Mapping[str, NDArray],
        last: NDArray[np.bool_],
        streams: Ints | None,
        core: NDArray[np.float32] | None,
    ) -> tuple[Ints, NDArray[np.float32]]:
        if streams is None:
            streams = np.arange(self.streams)
        else:
            streams = np.asarray(streams, np.int64)
            if len(streams) and (streams.min() < 0 or streams.max() >= self.streams):
                raise ValueError(f"streams must be in [0, {self.streams}), got {streams}")
            if len(np.unique(streams)) != len(streams):
                raise ValueError(f"streams must all be different within one write, got {streams}")
        if last.shape != streams.shape or last.dtype != np.bool_:
            raise ValueError(f"last must be bool [{len(streams)}], got {last.dtype} {last.shape}")
        if set(values) != set(self.columns):
            raise ValueError(f"values must have the columns {sorted(self.columns)}, got {sorted(values)}")
        for name, column in self.columns.items():
            value = values[name]
            if value.shape != (len(streams), *column.shape):
                raise ValueError(f"{name} must have shape {(len(streams), *column.shape)}, got {value.shape}")
            if not np.can_cast(value.dtype, column.dtype, "same_kind"):
                raise ValueError(f"{name} must be {column.dtype}, got {value.dtype}: convert it first")
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                bad = ~np.isfinite(value.reshape(len(value), -1)).all(1)
                raise ValueError(f"{name} must be finite, got NaN or infinity in stream(s) {streams[bad]}")
        if core is None:
            core = self._no_core[: len(streams)]
        if core.shape != (len(streams), self._core.shape[1]):
            raise ValueError(f"core must have shape {(len(streams), self._core.shape[1])}, got {core.shape}")
        self.sequencer.check(streams, last)
        return streams, core

    def _insert(self, items: Items) -> Ints:
        if len(items) == 0:
            return np.empty(0, np.int64)
        total = items.context + items.burn_in + items.length + items.lookahead
        slots = self.storage.slot_of(items.stream, items.row)
        offsets = items.row % self.storage.block
        self.storage.acquire(slots, offsets, total)  # before any removal can free these blocks
        if len(items) > self._free_count:
            self._remove(self.remover.pop(len(items) - self._free_count))
        self._free_count -= len(items)
        places = self._free[self._free_count : self._free_count + len(items)].copy()
        table = self._table
        table["slot"][places], table["offset"][places] = slots, offsets
        for name in ("context", "burn_in", "length", "lookahead"):
            table[name][places] = getattr(items, name)
        self._core[places] = items.core
        self._live[places] = True
        self.selector.insert(places)
        self.remover.insert(places)
        return self._ids(places)

    def _remove(self, places: Ints) -> None:
        table = self._table
        self.storage.release(
            table["slot"][places].astype(np.int64),
            table["offset"][places].astype(np.int64),
            self._rows(places),
        )
        self.selector.remove(places)
        table["generation"][places] += 1
        self._live[places] = False
        self._free[self._free_count : self._free_count + len(places)] = places
        self._free_count += len(places)

    def _rows(self, places: Ints) -> Ints:
        table = self._table
        return (
            table["context"][places].astype(np.int64)
            + table["burn_in"][places]
            + table["length"][places]
            + table["lookahead"][places]
        )

    def _ids(self, places: Ints) -> Ints:
        return self._table["generation"][places].astype(np.int64) * self.capacity + places

    # -- read ------------------------------------------------------------------------------------------

    def sample(self, n: int, rng: np.random.Generator, *, beta: float = 0.0) -> Batch:
        """Draw n items; importance weights are (N P)^-beta over the largest in the batch."""
        if n < 1:
            raise ValueError(f"n must be at least 1 item, got {n}")
        if len(self) == 0:
            raise ValueError("the replay holds no finished item yet: write more steps before sampling")
        places, probability = self.selector.sample(n, rng)
        weight = (len(self) * probability) ** -beta
        return self._batch(places, probability, (weight / weight.max()).astype(np.float32))

    def get(self, ids: Ints, names: list[str] | None = None) -> Batch:
        """Read items by id, all columns or some; raises KeyError for an id that is no longer held."""
        places, held = self._places(np.asarray(ids, np.int64))
        if not held.all():
            raise KeyError(f"item {int(ids[~held][0])} was given up: read items while they are held")
        return self._batch(places, np.full(len(places), np.nan), np.ones(len(places), np.float32), names)

    def _batch(
        self,
        places: Ints,
        probability: NDArray[np.float64],
        weight: NDArray[np.float32],
        names: list[str] | None = None,
    ) -> Batch:
        sequencer = self.sequencer
        item = {name: column[places].astype(np.int64) for name, column in self._table.items()}
        lefts = sequencer.context - item["context"] + sequencer.burn_in - item["burn_in"]
        columns = self.storage.read(
            list(self.columns) if names is None else names,
            item["slot"],
            item["offset"],
            lefts,
            self._rows(places),
            sequencer.rows - sequencer.context,
            sequencer.context,
        )
        return Batch(
            columns,
            self._core[places],
            item["burn_in"],
            item["length"],
            item["lookahead"],
            self._ids(places),
            probability,
            weight,
        )

    # -- priorities ------------------------------------------------------------------------------------

    def update_priorities(self, ids: Ints, priorities: NDArray) -> None:
        """Set priorities [K] by id. Items given up since are counted in `late_updates` and ignored."""
        ids = np.asarray(ids, np.int64)
        priorities = np.asarray(priorities, np.float64)
        if ids.shape != priorities.shape or ids.ndim != 1:
            raise ValueError(f"ids and priorities must be [K] alike, got {ids.shape} and {priorities.shape}")
        bad = ~(np.isfinite(priorities) & (priorities >= 0))
        if bad.any():
            raise ValueError(
                f"priorities must be finite and >= 0, got {priorities[bad][0]} for item {int(ids[bad][0])}: "
                "look for NaN in the loss; no priority was changed"
            )
        places, held = self._places(ids)
        self.late_updates += int(np.count_nonzero(~held))
        self.selector.update(places[held], priorities[held])

    def _places(self, ids: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        places, generation = ids % self.capacity, ids // self.capacity
        unknown = (ids < 0) | (generation > self._table["generation"][places])
        unknown |= (generation == self._table["generation"][places]) & ~self._live[places]
        if unknown.any():
            raise ValueError(f"id {int(ids[unknown][0])} was never given out by this replay")
        return places, generation == self._table["generation"][places]

    def priorities(self) -> NDArray[np.float64]:
        """What the selector holds for each item, in no order: for a histogram."""
        return self.selector.values(np.flatnonzero(self._live))

    @property
    def nbytes(self) -> int:
        """Bytes held now: steps, items and index."""
        index = sum(column.nbytes for column in self._table.values()) + self._live.nbytes + self._free.nbytes
        index += self.selector.nbytes + self.remover.nbytes
        return index + self._core.nbytes + sum(self.storage.nbytes.values())

    # -- state -----------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what this replay will do next."""
        return {
            "table": {name: column.copy() for name, column in self._table.items()},
            "live": self._live.copy(),
            "core": self._core[self._live].copy(),
            "free": self._free[: self._free_count].copy(),
            "steps_written": self.steps_written,
            "late_updates": self.late_updates,
            "storage": self.storage.state_dict(),
            "sequencer": self.sequencer.state_dict(),
            "selector": self.selector.state_dict(),
            "remover": self.remover.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken; the replay must have been built alike."""
        for name, column in self._table.items():
            column[:] = state["table"][name]
        self._live[:] = state["live"]
        self._core[self._live] = state["core"]
        self._free_count = len(state["free"])
        self._free[: self._free_count] = state["free"]
        self.steps_written = state["steps_written"]
        self.late_updates = state["late_updates"]
        for name in ("storage", "sequencer", "selector", "remover"):
            getattr(self, name).load_state_dict(state[name])
