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

from r2d2.replay.draw import THREADS, Draw
from r2d2.replay.items import ItemTable
from r2d2.replay.removers import Remover
from r2d2.replay.selectors import Selector
from r2d2.replay.sequencer import Sequencer
from r2d2.replay.storage import Storage
from r2d2.types import Batch, Column, Items

Ints = NDArray[np.int64]

HIGHEST = 1e30  # priority; ours: sums over any number of items stay far from the end of float64

_PARTS = ("storage", "sequencer", "items", "selector", "remover")


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
        self.items = ItemTable(capacity, core_size)
        self._no_core = np.zeros((streams, core_size), np.float32)
        self.steps_written = 0
        self.late_updates = 0  # priorities that arrived after their item was given up

    def __len__(self) -> int:
        return len(self.items)

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
            column.check(name, values[name], streams)
        if core is None:
            core = self._no_core[: len(streams)]
        if core.shape != (len(streams), self.items.core.shape[1]):
            raise ValueError(
                f"core must have shape {(len(streams), self.items.core.shape[1])}, got {core.shape}"
            )
        if not np.isfinite(core).all():
            bad = streams[~np.isfinite(core).all(1)]
            raise ValueError(f"core must be finite, got NaN or infinity in stream(s) {bad}")
        self.sequencer.check(streams, last)
        return streams, core

    def _insert(self, items: Items) -> Ints:
        if len(items) == 0:
            return np.empty(0, np.int64)
        rows = items.context + items.burn_in + items.length + items.lookahead
        slots = self.storage.slot_of(items.stream, items.row)
        offsets = items.row % self.storage.block
        self.storage.acquire(slots, offsets, rows)  # before any removal can free these blocks
        if len(items) > self.items.free:
            self._remove(self.remover.pop(len(items) - self.items.free))
        places = self.items.insert(items, slots, offsets)
        self.selector.insert(places)
        self.remover.insert(places)
        return self.items.ids(places)

    def _remove(self, places: Ints) -> None:
        item = self.items.get(places)
        self.storage.release(item["slot"], item["offset"], item["rows"])
        self.selector.remove(places)
        self.items.remove(places)

    # -- read ------------------------------------------------------------------------------------------

    def sample(
        self, n: int, rng: np.random.Generator, *, beta: float = 0.0, out: Batch | None = None
    ) -> Batch:
        """Draw n items; importance weights are (N P)^-beta over the largest in the batch.

        With `out`, an earlier batch of n items, its columns are filled again instead of allocating new ones.
        """
        return self.draw(n, rng, beta=beta, out=out).result()

    def draw(self, n: int, rng: np.random.Generator, *, beta: float = 0.0, out: Batch | None = None) -> Draw:
        """Like `sample`, but blocks are decoded in the background until `result` is called.

        The draw is complete at once: writes, removals and priorities that come later do not change it.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1 item, got {n}")
        if len(self) == 0:
            raise ValueError("the replay holds no finished item yet: write more steps before sampling")
        places, probability = self.selector.sample(n, rng)
        weight = (len(self) * probability) ** -beta
        weight = (weight / weight.max()).astype(np.float32)
        columns = None if out is None else dict(out.columns)
        return self._read(places, probability, weight, columns, list(self.columns))

    def get(self, ids: Ints, names: list[str] | None = None) -> Batch:
        """Read items by id, all columns or some; raises KeyError for an id that is no longer held."""
        places, held = self.items.locate(np.asarray(ids, np.int64))
        if not held.all():
            raise KeyError(f"item {int(ids[~held][0])} was given up: read items while they are held")
        unknown, ones = np.full(len(places), np.nan), np.ones(len(places), np.float32)
        return self._read(
            places, unknown, ones, None, list(self.columns) if names is None else names
        ).result()

    def _read(
        self,
        places: Ints,
        probability: NDArray[np.float64],
        weight: NDArray[np.float32],
        columns: dict[str, NDArray] | None,
        names: list[str],
    ) -> Draw:
        sequencer = self.sequencer
        item = self.items.get(places)
        if columns is None:
            columns = {
                name: np.empty(self._shape(name, len(places)), self.columns[name].dtype) for name in names
            }
        for name, column in columns.items():
            if column.shape != self._shape(name, len(places)):
                raise ValueError(
                    f"out must be a batch of {len(places)} items of this replay, got {column.shape}"
                )
        jobs = self.storage.read(
            columns,
            item["slot"],
            item["offset"],
            sequencer.context - item["context"] + sequencer.burn_in - item["burn_in"],
            item["rows"],
            sequencer.context,
            THREADS,
        )
        batch = Batch(
            columns,
            self.items.core[places],
            item["burn_in"],
            item["length"],
            item["lookahead"],
            self.items.ids(places),
            probability,
            weight,
        )
        return Draw(batch, jobs)

    def _shape(self, name: str, n: int) -> tuple[int, ...]:
        """Shape of a column of a batch of n items."""
        column, sequencer = self.columns[name], self.sequencer
        return (n, column.context + sequencer.rows - sequencer.context, *column.shape)

    # -- priorities ------------------------------------------------------------------------------------

    def update_priorities(self, ids: Ints, priorities: NDArray) -> None:
        """Set priorities [K] by id. Items given up since are counted in `late_updates` and ignored."""
        ids = np.asarray(ids, np.int64)
        priorities = np.asarray(priorities, np.float64)
        if ids.shape != priorities.shape or ids.ndim != 1:
            raise ValueError(f"ids and priorities must be [K] alike, got {ids.shape} and {priorities.shape}")
        bad = ~((priorities >= 0) & (priorities <= HIGHEST))  # true for NaN as well
        if bad.any():
            raise ValueError(
                f"priorities must be finite and >= 0, got {priorities[bad][0]} for item {int(ids[bad][0])}: "
                f"look for NaN in the loss (at most {HIGHEST:g} is taken); no priority was changed"
            )
        places, held = self.items.locate(ids)
        self.late_updates += int(np.count_nonzero(~held))
        self.selector.update(places[held], priorities[held])

    def priorities(self) -> NDArray[np.float64]:
        """What the selector holds for each item, in no order: for a histogram."""
        return self.selector.values(self.items.places)

    @property
    def nbytes(self) -> int:
        """Bytes held now: steps, items and index."""
        index = self.items.nbytes + self.selector.nbytes + self.remover.nbytes
        return index + self.items.core.nbytes + sum(self.storage.nbytes.values())

    # -- state -----------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what this replay will do next."""
        parts = {name: getattr(self, name).state_dict() for name in _PARTS}
        return {"steps_written": self.steps_written, "late_updates": self.late_updates, **parts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken; the replay must have been built alike."""
        self.steps_written = state["steps_written"]
        self.late_updates = state["late_updates"]
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
