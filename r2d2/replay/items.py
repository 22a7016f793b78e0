"""ItemTable: where each item's rows lie, its recurrent state, and ids that never come back.

An item sits in a place (a small integer) and is known outside by an id, generation * capacity + place: when
the place is used again the generation has moved on, so a priority that arrives late cannot hit its successor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.blobs import Blobs, RowBlobs
from r2d2.types import Items

Ints = NDArray[np.int64]

_SIZES = ("context", "burn_in", "length", "lookahead")  # rows of each part of an item
_FIELDS: dict[str, type] = {
    "slot": np.int32,
    "offset": np.int32,
    "context": np.int16,
    "burn_in": np.int32,
    "length": np.int32,
    "lookahead": np.int16,
    "generation": np.int32,
}


class ItemTable:
    """`capacity` places for items, each with `core_size` floats of recurrent state."""

    def __init__(self, capacity: int, core_size: int) -> None:
        self.capacity = capacity
        self.core = np.zeros((capacity, core_size), np.float32)
        self._table: dict[str, NDArray] = {name: np.zeros(capacity, dtype) for name, dtype in _FIELDS.items()}
        self._live = np.zeros(capacity, np.bool_)
        self._free = np.arange(capacity)[::-1].copy()
        self.free = capacity

    def __len__(self) -> int:
        return self.capacity - self.free

    @property
    def places(self) -> Ints:
        """The places in use, in no order that matters."""
        return np.flatnonzero(self._live)

    def insert(self, items: Items, slots: Ints, offsets: Ints) -> Ints:
        """Put items, whose first rows are at (slot, offset), into free places; returns the places [K]."""
        self.free -= len(items)
        places = self._free[self.free : self.free + len(items)].copy()
        self._table["slot"][places], self._table["offset"][places] = slots, offsets
        for name in _SIZES:
            self._table[name][places] = getattr(items, name)
        self.core[places] = items.core
        self._live[places] = True
        return places

    def remove(self, places: Ints) -> None:
        """Empty these places; their ids are history."""
        self._table["generation"][places] += 1
        self._live[places] = False
        self._free[self.free : self.free + len(places)] = places
        self.free += len(places)

    def get(self, places: Ints) -> dict[str, Ints]:
        """slot, offset, context, burn_in, length, lookahead and their sum `rows`, each [K]."""
        found = {name: self._table[name][places].astype(np.int64) for name in ("slot", "offset", *_SIZES)}
        found["rows"] = found["context"] + found["burn_in"] + found["length"] + found["lookahead"]
        return found

    def ids(self, places: Ints) -> Ints:
        """The ids [K] of the items in these places."""
        return self._table["generation"][places].astype(np.int64) * self.capacity + places

    def locate(self, ids: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Places [K] of ids, and which items are still held; ValueError for an id that never was."""
        places, generation = ids % self.capacity, ids // self.capacity
        now = self._table["generation"][places]
        unknown = (ids < 0) | (generation > now) | ((generation == now) & ~self._live[places])
        if unknown.any():
            raise ValueError(f"id {int(ids[unknown][0])} was never given out by this replay")
        return places, generation == now

    @property
    def nbytes(self) -> int:
        """Bytes of the index, without the recurrent states."""
        return sum(column.nbytes for column in self._table.values()) + self._live.nbytes + self._free.nbytes

    def state_dict(self) -> dict[str, Any]:
        """Everything; recurrent states as blobs under the items' ids, which a checkpoint writes only once."""
        places = self.places
        ids = self.ids(places)
        order = np.argsort(ids)
        return {
            "table": {name: column.copy() for name, column in self._table.items()},
            "live": self._live.copy(),
            "free": self._free[: self.free].copy(),
            "core": Blobs(ids[order], RowBlobs([self.core], places[order])),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, column in self._table.items():
            column[:] = state["table"][name]
        self._live[:] = state["live"]
        self.free = len(state["free"])
        self._free[: self.free] = state["free"]
        places = self.places
        RowBlobs([self.core], places[np.argsort(self.ids(places))]).load(state["core"].data)
