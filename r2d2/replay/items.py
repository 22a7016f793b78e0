"""ItemTable: where each item's rows lie, its recurrent state, and ids that never come back.

An item sits in a place (a small integer) and is known outside by an id, generation * capacity + place: when
the place is used again the generation has moved on, so a priority that arrives late cannot hit its successor.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from r2d2.blobs import Blobs, RowBlobs
from r2d2.replay.rows import zeros
from r2d2.types import Items

Ints = NDArray[np.int64]

_SLOT, _GENERATION = range(2)  # columns of `_where`; an empty place has slot -1
_OFFSET, _CONTEXT, _BURN_IN, _LENGTH, _LOOKAHEAD = range(5)  # columns of `_sizes`


@njit(cache=True, nogil=True)
def put(places, slots, offsets, context, burn_in, length, lookahead, where, sizes, ids):
    """Fill places; `ids` [K] become the items' ids."""
    for i in range(len(places)):
        place = places[i]
        where[place, _SLOT] = slots[i]
        sizes[place, _OFFSET], sizes[place, _CONTEXT] = offsets[i], context[i]
        sizes[place, _BURN_IN], sizes[place, _LENGTH] = burn_in[i], length[i]
        sizes[place, _LOOKAHEAD] = lookahead[i]
        ids[i] = where[place, _GENERATION] * len(where) + place


@njit(cache=True, nogil=True)
def empty(places, where, sizes, slots, offsets, rows):
    """Empty places; `slots`, `offsets` and `rows` say what they held."""
    for i in range(len(places)):
        place = places[i]
        slots[i], offsets[i] = where[place, _SLOT], sizes[place, _OFFSET]
        rows[i] = sizes[place, _CONTEXT] + sizes[place, _BURN_IN]
        rows[i] += sizes[place, _LENGTH] + sizes[place, _LOOKAHEAD]
        where[place, _SLOT] = -1
        where[place, _GENERATION] += 1


@njit(cache=True, nogil=True)
def locate(ids, where, places, held):
    """The place of each id and whether its item is still there; returns the first id that never was, or -1."""
    for i in range(len(ids)):
        place, generation = ids[i] % len(where), ids[i] // len(where)
        now = where[place, _GENERATION]
        if ids[i] < 0 or generation > now or (generation == now and where[place, _SLOT] < 0):
            return i
        places[i], held[i] = place, generation == now
    return -1


@njit(cache=True, nogil=True)
def windows(places, where, sizes, following, block, context, burn_in, rows, burn_ins, lengths, lookaheads, ids):
    """Stored rows [B, T] (slot * block + offset) of items; the trained part begins at context + burn_in.

    Left padding repeats the first row, right padding the last.
    """
    for i in range(len(places)):
        place = places[i]
        slot, offset = where[place, _SLOT], sizes[place, _OFFSET]
        before, warm = sizes[place, _CONTEXT], sizes[place, _BURN_IN]
        burn_ins[i], lengths[i], lookaheads[i] = warm, sizes[place, _LENGTH], sizes[place, _LOOKAHEAD]
        ids[i] = where[place, _GENERATION] * len(where) + place
        left = context - before + burn_in - warm
        last = left + before + warm + lengths[i] + lookaheads[i] - 1
        for t in range(rows.shape[1]):
            if left < t <= last:
                offset += 1
                if offset == block:
                    slot, offset = following[slot], 0
            rows[i, t] = np.int64(slot) * block + offset


@dataclass(frozen=True)
class Windows:
    """Items as they are read: stored rows [B, T] and what `Batch` says of them, each [B]."""

    rows: Ints
    burn_in: Ints
    length: Ints
    lookahead: Ints
    ids: Ints


class ItemTable:
    """`capacity` places for items, each with `core_size` floats of recurrent state.

    With `linked`, an item knows the next one of its episode (8 bytes an item more).
    """

    def __init__(
        self, capacity: int, core_size: int, *, streams: int, linked: bool = False, folder: Path | None = None
    ) -> None:
        self.capacity = capacity
        self.core = zeros((capacity, core_size), "float32", folder, "core")
        self._where = np.zeros((capacity, 2), np.int32)
        self._where[:, _SLOT] = -1
        self._sizes = np.zeros((capacity, 5), np.int16)
        self._free = np.arange(capacity, dtype=np.int32)[::-1].copy()
        self.free = capacity
        self.linked = linked
        self._next = np.full(capacity if linked else 0, -1, np.int64)  # id of the next item of the episode
        self._latest = np.full(streams, -1, np.int64)  # id of each stream's newest item

    def __len__(self) -> int:
        return self.capacity - self.free

    @property
    def places(self) -> Ints:
        """The places in use, in no order that matters."""
        return np.flatnonzero(self._where[:, _SLOT] >= 0)

    def insert(self, items: Items, slots: Ints, offsets: Ints) -> tuple[Ints, Ints]:
        """Put items, whose first rows are at (slot, offset), into free places; returns places and ids [K]."""
        self.free -= len(items)
        places = self._free[self.free : self.free + len(items)].astype(np.int64)
        ids = np.empty(len(items), np.int64)
        put(
            places, slots, offsets, items.context, items.burn_in, items.length, items.lookahead, self._where,
            self._sizes, ids,
        )  # fmt: skip
        if self.core.shape[1]:
            self.core[places] = items.core
        return places, ids

    def link(self, streams: Ints, numbers: Ints, ids: Ints) -> None:
        """New items [K] follow their streams' newest ones, the first of an episode (number 0) none; id -1 is an
        item that was refused."""
        for stream, number, id_ in zip(streams.tolist(), numbers.tolist(), ids.tolist(), strict=True):
            before = self._latest[stream : stream + 1]
            if number > 0 and before[0] >= 0 and self.locate(before)[1][0]:
                self._next[before % self.capacity] = id_
            self._latest[stream] = id_
            if id_ >= 0:
                self._next[id_ % self.capacity] = -1

    def get(self, places: Ints) -> dict[str, Ints]:
        """slot, offset, context, burn_in, length, lookahead and the sum of the last four, `rows`, each [K]."""
        names = ("offset", "context", "burn_in", "length", "lookahead")
        found = dict(zip(names, self._sizes[places].astype(np.int64).T, strict=True))
        found["slot"] = self._where[places, _SLOT].astype(np.int64)
        found["rows"] = found["context"] + found["burn_in"] + found["length"] + found["lookahead"]
        return found

    def ids(self, places: Ints) -> Ints:
        """The ids [K] of the items in these places."""
        return self._where[places, _GENERATION].astype(np.int64) * self.capacity + places

    def remove(self, places: Ints) -> tuple[Ints, Ints, Ints]:
        """Empty these places, their ids are history; returns slots, offsets and rows [K] that they held."""
        slots, offsets, rows = (np.empty(len(places), np.int64) for _ in range(3))
        empty(places, self._where, self._sizes, slots, offsets, rows)
        self._free[self.free : self.free + len(places)] = places
        self.free += len(places)
        return slots, offsets, rows

    def windows(self, places: Ints, following: NDArray[np.int32], block: int, context: int, burn_in: int,
                width: int) -> Windows:  # fmt: skip
        """Where the rows of these items are: `context`, `burn_in` and trained rows, `width` in all."""
        n = len(places)
        found = Windows(
            np.empty((n, width), np.int64), np.empty(n, np.int64), np.empty(n, np.int64),
            np.empty(n, np.int64), np.empty(n, np.int64),
        )  # fmt: skip
        windows(
            places, self._where, self._sizes, following, block, context, burn_in, found.rows, found.burn_in,
            found.length, found.lookahead, found.ids,
        )  # fmt: skip
        return found

    def locate(self, ids: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Places [K] of ids, and which items are still held; ValueError for an id that never was."""
        places, held = np.empty(len(ids), np.int64), np.empty(len(ids), np.bool_)
        unknown = locate(ids, self._where, places, held)
        if unknown >= 0:
            raise ValueError(f"id {int(ids[unknown])} was never given out by this replay")
        return places, held

    def successors(self, ids: Ints) -> Ints:
        """The ids [K] of the next items of the same episodes; -1 where there is none (any more, or yet)."""
        if not self.linked:
            raise ValueError("items know their successors only in a replay that is built with linked=True")
        places, held = self.locate(ids)
        after = np.where(held, self._next[places], -1)
        known = after >= 0
        after[known] = np.where(self.locate(after[known])[1], after[known], -1)
        return after

    @property
    def nbytes(self) -> int:
        """Bytes of the index, without the recurrent states."""
        return sum(array.nbytes for array in (self._where, self._sizes, self._free, self._next, self._latest))

    def state_dict(self) -> dict[str, Any]:
        """Everything; recurrent states as blobs under the items' ids, which a checkpoint writes only once."""
        places = self.places
        ids = self.ids(places)
        order = np.argsort(ids)
        core: Any = Blobs(ids[order], RowBlobs([self.core], places[order]))
        if self.linked:  # states may be refreshed, so an id does not name their content
            core = self.core[places[order]]
        return {
            "where": self._where.copy(),
            "sizes": self._sizes.copy(),
            "free": self._free[: self.free].copy(),
            "next": self._next.copy(),
            "latest": self._latest.copy(),
            "order": places[order],
            "core": core,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in ("where", "sizes", "next", "latest"):
            getattr(self, f"_{name}")[:] = state[name]
        self.free = len(state["free"])
        self._free[: self.free] = state["free"]
        if self.linked:
            self.core[state["order"]] = state["core"]
        else:
            RowBlobs([self.core], state["order"]).load(state["core"].data)
