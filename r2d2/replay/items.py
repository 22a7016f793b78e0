"""ItemTable: the location of each item's rows, its recurrent state, and ids that are never reused.

An item is stored in a place (a small integer) and identified outside by an id, generation * most + place: when the
place is reused the generation is higher, so a late priority update cannot reach the item that came after.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.checkpoint.blobs import Blobs, RowBlobs
from r2d2.replay.kernels import reading
from r2d2.replay.kernels import table as kernels
from r2d2.replay.rows import extended, zeros
from r2d2.replay.saved import Saved
from r2d2.replay.sequencer import Sequencer
from r2d2.replay.storage import Storage

Ints = NDArray[np.int64]

_FIELDS = tuple(kernels.ITEM.names or ())


class ItemTable:
    """`capacity` places for items, each with `core_size` floats of recurrent state; it can grow to `most`.

    With `linked`, an item is linked to the next one of its episode (8 more bytes per item). With `goal_size`, an
    item may have a goal of that many floats; NaN stands for the goal that its steps were played for.
    """

    def __init__(
        self,
        capacity: int,
        core_size: int,
        *,
        streams: int,
        most: int | None = None,
        linked: bool = False,
        goal_size: int = 0,
        folder: Path | None = None,
    ) -> None:
        self.capacity = capacity
        self._largest, self._folder = capacity if most is None else most, folder
        self.core = zeros((capacity, core_size), "float32", folder)
        self.goal = zeros((capacity, goal_size), "float32", folder)
        self.table = np.zeros(capacity, kernels.ITEM)
        self.table["slot"] = -1  # empty
        self._free = np.arange(capacity, dtype=np.int32)[::-1].copy()
        self._numbers = np.array([capacity, self._largest])  # places that are free, `most`
        self.linked = linked
        self._next = np.full(capacity if linked else 0, -1, np.int64)  # id of the next item of the episode
        self._latest = np.full(streams, -1, np.int64)  # id of each stream's newest item

    def __len__(self) -> int:
        return self.capacity - self.free

    @property
    def free(self) -> int:
        """Free places."""
        return int(self._numbers[0])

    @property
    def most(self) -> int:
        """The places that there may be, by which ids are counted."""
        return int(self._numbers[1])

    @property
    def arrays(self) -> dict[str, NDArray]:
        """As `kernels.held` calls them."""
        return {"table": self.table, "core": self.core, "spare": self._free, "numbers": self._numbers}

    def grow(self, capacity: int) -> None:
        """Have `capacity` places, at most `most`; the items and their ids stay as they are."""
        before = self.capacity
        core = zeros((capacity, self.core.shape[1]), "float32", self._folder)
        goal = zeros((capacity, self.goal.shape[1]), "float32", self._folder)
        core[:before], goal[:before] = self.core, self.goal
        table = np.zeros(capacity, kernels.ITEM)
        table[:before], table["slot"][before:] = self.table, -1
        added = np.arange(before, capacity, dtype=np.int32)[::-1]
        self._free = np.concatenate([added, self._free])  # those of before are used first
        self._next = extended(self._next, capacity, -1) if self.linked else self._next
        self.core, self.goal, self.table = core, goal, table
        self._numbers[0] += len(added)
        self.capacity = capacity

    @property
    def places(self) -> Ints:
        """The places in use, in no order that matters."""
        return np.flatnonzero(self.table["slot"] >= 0)

    def insert(
        self, new: NDArray, pending: NDArray[np.float32], goals: NDArray[np.float32] | None = None
    ) -> tuple[Ints, Ints]:
        """Put items (`NEW_ITEM`) into free places; returns places and ids [K].

        `pending` [streams, ..., C] has their recurrent states, see `cutting.Cutter`; `goals` are [K, G].
        """
        self._numbers[0] -= len(new)
        places = self._free[self.free : self.free + len(new)].astype(np.int64)
        ids = np.empty(len(new), np.int64)
        kernels.put(places, new, self.table, self.most, pending, self.core, ids)
        if self.goal.size:
            self.goal[places] = np.nan if goals is None else goals
        if self.linked:
            self._next[places] = -1  # for copies, which are not linked
        return places, ids

    def link(self, new: NDArray, ids: Ints) -> None:
        """Let new items (`NEW_ITEM`) follow the newest ones of their streams, unless their number is 0;
        id -1 is an item that was refused."""
        self._next[ids[ids >= 0] % self.most] = -1
        for stream, number, id_ in zip(
            new["stream"].tolist(), new["number"].tolist(), ids.tolist(), strict=True
        ):
            before = self._latest[stream : stream + 1]
            if number > 0 and before[0] >= 0 and self.locate(before)[1][0]:
                self._next[before % self.most] = id_
            self._latest[stream] = id_

    def get(self, places: Ints) -> dict[str, Ints]:
        """slot, offset, context, burn_in, length, lookahead and the sum of the last four, `rows`, each [K]."""
        names = ("slot", "offset", "context", "burn_in", "length", "lookahead")
        found = {name: self.table[name][places].astype(np.int64) for name in names}
        found["rows"] = found["context"] + found["burn_in"] + found["length"] + found["lookahead"]
        return found

    def ids(self, places: Ints) -> Ints:
        """The ids [K] of the items in these places."""
        return self.table["generation"][places].astype(np.int64) * self.most + places

    def remove(self, places: Ints, storage: Storage) -> None:
        """Empty these places: their ids are never used again, and their steps are no longer referred to."""
        before = storage.free_slots
        kernels.retire(places, storage.block, storage.plain, self.table)
        storage.freed(before)
        self._free[self.free : self.free + len(places)] = places
        self._numbers[0] += len(places)

    def windows(self, places: Ints, storage: Storage, sequencer: Sequencer) -> reading.Windows:
        """Where the rows of these items are stored."""
        n = len(places)
        found = (np.empty((n, sequencer.rows), np.int64), *np.empty((4, n), np.int64))
        following, (sizes, _) = storage.blocks.following, sequencer.plain
        reading.windows(places, self.table, self.most, following, storage.block, sizes, found)
        return reading.Windows(*found)

    def locate(self, ids: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Places [K] of ids, and which items are still held; ValueError for an id that never was."""
        places, held = np.empty(len(ids), np.int64), np.empty(len(ids), np.bool_)
        unknown = int(kernels.locate(ids, self.table, self.most, places, held))
        if unknown >= 0:
            raise ValueError(f"id {int(ids[unknown])} was never given out by this replay")
        return places, held

    def unknown(self, ids: Ints) -> int:
        """The index of the first id that never was; -1 if all were."""
        places, held = np.empty(len(ids), np.int64), np.empty(len(ids), np.bool_)
        return int(kernels.locate(ids, self.table, self.most, places, held))

    def relabeled(self, ids: Ints) -> NDArray[np.bool_]:
        """Which of these items [K] have a goal of their own and are still held."""
        if self.goal.size == 0:
            return np.zeros(len(ids), np.bool_)
        places, held = self.locate(ids)
        return held & ~np.isnan(self.goal[places]).any(1)

    def successors(self, ids: Ints) -> Ints:
        """The ids [K] of the next items of the same episodes; -1 where there is none (yet, or no longer)."""
        if not self.linked:
            raise ValueError("items know their successors only in a replay that is built with linked=True")
        places, held = self.locate(ids)
        after = np.where(held, self._next[places], -1)
        known = after >= 0
        after[known] = np.where(self.locate(after[known])[1], after[known], -1)
        return after

    def locate_states(self, ids: Ints, core: NDArray[np.float32]) -> tuple[Ints, NDArray[np.bool_]]:
        """Places of ids and which are still held; ValueError where these states [K, C] cannot be theirs."""
        if not self.linked:
            raise ValueError(
                "recurrent states can be refreshed only in a replay that is built with linked=True"
            )
        if not np.isfinite(core).all():
            raise ValueError(
                "core must be finite, got NaN or infinity: look for NaN in the network's weights"
            )
        return self.locate(ids)

    @property
    def nbytes(self) -> int:
        """Bytes of the index, without the recurrent states."""
        return sum(array.nbytes for array in (self.table, self._free, self._next, self._latest, self.goal))

    def state_dict(self) -> dict[str, Any]:
        """Everything; recurrent states as blobs under the items' ids, which a checkpoint writes only once."""
        places = self.places
        ids = self.ids(places)
        order = np.argsort(ids)
        core: Any = Blobs(ids[order], RowBlobs([self.core], places[order]))
        if self.linked:  # states may be refreshed, so an id does not name their content
            core = self.core[places[order]]
        return {
            "most": self.most,
            "table": {name: self.table[name].copy() for name in _FIELDS},
            "free": self._free[: self.free].copy(),
            "next": self._next.copy(),
            "latest": self._latest.copy(),
            "order": places[order],
            "core": core,
            "goal": self.goal[places[order]],
        }

    def check_state(self, saved: Saved) -> None:
        """Raise ValueError if this is not the state of a table like this one."""
        table = saved.part("table")
        if "most" in saved:
            most = saved.count("most", least=self.capacity)
            if most not in (self.capacity, self._largest):
                raise saved.refuse("most", f"must be {self._largest}, got {most}")
        for name in _FIELDS:
            least = -1 if name == "slot" else 0
            table.array(name, kernels.ITEM[name], (self.capacity,), low=least)
        free = saved.different("free", np.int32, None, self.capacity)
        order = saved.places("order", self.capacity, self.capacity - len(free))
        taken = np.zeros(self.capacity, np.bool_)
        taken[order] = True
        if taken[free].any() or not np.array_equal(table["slot"] >= 0, taken):
            raise saved.refuse("free", "contradicts the places of the items")
        saved.array("next", np.int64, self._next.shape, low=-1)
        saved.array("latest", np.int64, self._latest.shape, low=-1)
        if self.goal.size or "goal" in saved:
            saved.array("goal", np.float32, (len(order), *self.goal.shape[1:]))
        if self.linked:
            saved.array("core", np.float32, (len(order), *self.core.shape[1:]))
        else:
            saved.blobs("core", len(order), self.core.shape[1] * self.core.itemsize)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.check_state(Saved(state, "items"))
        self.load_table(state)
        if not self.linked:
            RowBlobs([self.core], state["order"]).load(state["core"].data)

    def load_table(self, state: dict[str, Any]) -> None:
        """Take in a state without recurrent states that lie in blobs."""
        for name in _FIELDS:
            self.table[name] = state["table"][name]
        self._numbers[1] = state.get("most", self.capacity)  # absent: it did not grow
        self._next[:], self._latest[:] = state["next"], state["latest"]
        self._numbers[0] = len(state["free"])
        self._free[: self.free] = state["free"]
        if self.goal.size:
            self.goal[state["order"]] = state["goal"]
        if self.linked:
            self.core[state["order"]] = state["core"]
