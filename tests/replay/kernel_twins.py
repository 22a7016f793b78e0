"""What the compiled kernels do, in lists and dicts: slow, and written from their rules, not from their code.

A twin is given what its kernel is given. `same_as` compares all that the kernel may have changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from stream_twin import Sizes, cuts

from r2d2.replay import Sequencer
from r2d2.replay.items import ItemTable
from r2d2.replay.kernels.cutting import NOTHING
from r2d2.replay.storage import Storage

Ints = NDArray[np.int64]


@dataclass
class Block:
    """A slot's content; it stays what it was when the slot is given up."""

    refs: int = 0
    following: int = -1
    open_stream: int = -1
    serial: int = -1
    filled: int = 0


class New(NamedTuple):
    """An item that `step` makes, in the order of its fields."""

    stream: int
    row: int
    slot: int
    offset: int
    context: int
    burn_in: int
    length: int
    lookahead: int
    rows: int
    number: int


class StoreTwin:
    """Blocks as objects, the free slots as a stack, and by number the blocks that each writer holds."""

    def __init__(self, storage: Storage) -> None:
        slots, streams = storage.slots, len(storage.blocks.cursor)
        self.block, self.lead, self.aligned = storage.block, storage.lead, storage.aligned
        self.ring = storage.blocks.recent.shape[1]
        self.blocks = [Block() for _ in range(slots)]
        self.free = list(range(slots))[::-1]
        self.serials = 0
        self.cursor = [self.lead] * streams
        self.filling: list[int | None] = [None] * streams  # slot
        self.began = [0] * streams
        self.holds: list[dict[int, int]] = [{} for _ in range(streams)]
        self.history: list[dict[int, int]] = [{} for _ in range(streams)]  # every block that ever was

    def append(self, stream: int, last: bool) -> tuple[int, int, bool]:
        """Where the stream's next row goes, its number, and whether it is the last of its block."""
        row = self.cursor[stream]
        number, offset = divmod(row, self.block)
        slot = self.filling[stream]
        if slot is None:
            slot = self.filling[stream] = self.free.pop()
            if number - 1 in self.holds[stream]:
                self.blocks[self.holds[stream][number - 1]].following = slot
            self.blocks[slot] = Block(refs=1, open_stream=stream, serial=self.serials)
            self.serials += 1
            self.began[stream] = offset
            self.holds[stream][number] = self.history[stream][number] = slot
        self.blocks[slot].filled = offset + 1
        over = last and self.aligned
        full = over or (row + 1) % self.block == 0
        self.cursor[stream] = (number + 1) * self.block + self.lead if over else row + 1
        if full:
            self.blocks[slot].open_stream = -1
            self.filling[stream] = None
        return slot * self.block + offset, row, full

    def unhold(self, stream: int, low_water: int) -> None:
        """The writer needs no row before `low_water`; what it still fills it keeps."""
        for number, slot in list(self.holds[stream].items()):
            if (number + 1) * self.block <= low_water and slot != self.filling[stream]:
                del self.holds[stream][number]
                self.decref(slot)

    def decref(self, slot: int) -> None:
        self.blocks[slot].refs -= 1
        if self.blocks[slot].refs == 0:
            self.free.append(slot)

    def chain(self, slot: int, offset: int, rows: int) -> list[int]:
        """The slots over which so many rows from this offset extend."""
        found = [slot]
        while len(found) * self.block < offset + rows:
            found.append(self.blocks[found[-1]].following)
        return found

    def hold(self, slot: int, offset: int, rows: int) -> None:
        for part in self.chain(slot, offset, rows):
            self.blocks[part].refs += 1

    def release(self, slot: int, offset: int, rows: int) -> None:
        for part in self.chain(slot, offset, rows):
            self.decref(part)

    def same_as(self, storage: Storage) -> None:
        for name in vars(Block()):
            wanted = [getattr(block, name) for block in self.blocks]
            np.testing.assert_array_equal(getattr(storage.blocks, name), wanted, name)
        streams = range(len(self.cursor))
        first = [next(iter(self.holds[i]), self.cursor[i] // self.block) for i in streams]
        recent = np.zeros((len(streams), self.ring), np.int64)
        for i in streams:
            for number, slot in self.history[i].items():
                recent[i, number % self.ring] = slot
        rows = sum(block.filled for block in self.blocks if block.refs)
        for name, expected in {
            "cursor": self.cursor, "held": first, "closed": [slot is None for slot in self.filling],
            "began": self.began, "recent": recent, "counters": [len(self.free), self.serials, rows],
        }.items():  # fmt: skip
            np.testing.assert_array_equal(getattr(storage.blocks, name), expected, name)
        assert storage.blocks.free[: storage.free_blocks].tolist() == self.free


@dataclass
class CutterTwin:
    """Cuts anew, at each row, the episode as far as it goes, and emits what was not there before."""

    sizes: Sizes
    sequencer: Sequencer
    at: dict[int, int] = field(default_factory=dict)  # row of each stream's episode
    emitted: dict[int, int] = field(default_factory=dict)
    states: dict[tuple[int, int], NDArray] = field(default_factory=dict)  # by stream and place in the ring

    def starting(self, at: int) -> list[int]:
        """The items whose first row, burn-in included, is this one of the episode."""
        sizes = self.sizes
        return [k for k in range(at + sizes.burn_in + 1) if max(0, k * sizes.period - sizes.burn_in) == at]

    def refused(self, streams: Sequence[int], last: Sequence[bool], core: NDArray) -> tuple[int, int]:
        for i, stream in enumerate(streams):
            at = self.at.get(stream, 0)
            if at == 0 and last[i]:
                return i, 1
            if self.starting(at) and not np.isfinite(core[i]).all():
                return i, 2
        return -1, 0

    def advance(self, stream: int, row: int, last: bool, core: NDArray) -> tuple[list[tuple[int, ...]], int]:
        """The items that this row completes, as `cutting.advance` gives them, and the low-water row."""
        sizes, at, done = self.sizes, self.at.get(stream, 0), self.emitted.get(stream, 0)
        for k in self.starting(at):
            self.states[stream, k % self.sequencer.items_at_once] = core.copy()
        start = row - at
        if last:
            known = cuts(sizes, stream, start, at)
        else:  # as if it went on for ever
            endless = cuts(sizes, stream, start, at + sizes.unroll + sizes.n_step)
            known = [cut for cut in endless if cut.rows[-1] <= row]
        new = [(stream, cut.rows[0], *cut[2:], k) for k, cut in enumerate(known) if k >= done]
        self.at[stream], self.emitted[stream] = (0, 0) if last else (at + 1, len(known))
        first = len(known) * sizes.period - sizes.burn_in - sizes.context
        return new, NOTHING if last else start + max(0, first)

    def same_as(self, sequencer: Sequencer) -> None:
        episode_row, next_item, pending = sequencer.cutter
        streams = range(len(episode_row))
        assert episode_row.tolist() == [self.at.get(stream, 0) for stream in streams]
        assert next_item.tolist() == [self.emitted.get(stream, 0) for stream in streams]
        wanted = np.zeros_like(pending)
        for place, state in self.states.items():
            wanted[place] = state
        np.testing.assert_array_equal(pending, wanted)


def step(
    store: StoreTwin, cutter: CutterTwin, streams: list[int], last: list[bool], core: NDArray
) -> tuple[list[int], list[bool], list[New]]:
    """Where one row of each stream goes, whether that ends its block, and the items then complete."""
    at, rows, full = zip(*map(store.append, streams, last), strict=True)
    new, low_water = [], []
    for i, stream in enumerate(streams):
        items, low = cutter.advance(stream, rows[i], last[i], core[i])
        low_water.append(low)
        for _, row, *parts, number in items:
            slot, offset = store.holds[stream][row // store.block], row % store.block
            new.append(New(stream, row, slot, offset, *parts, sum(parts), number))
            store.hold(slot, offset, sum(parts))
    for stream, low in zip(streams, low_water, strict=True):
        store.unhold(stream, low)
    return list(at), list(full), new


class ItemsTwin:
    """Items in a dict by place, and every id that was ever given out."""

    FIELDS = ("slot", "offset", "context", "burn_in", "length", "lookahead")

    def __init__(self, store: StoreTwin, capacity: int, most: int) -> None:
        self.store, self.capacity, self.most = store, capacity, most
        self.items: dict[int, New] = {}
        self.states: dict[int, NDArray] = {}
        self.left = [0] * capacity  # items that were in each place and are gone
        self.live: dict[int, int] = {}  # id -> place
        self.given: set[int] = set()

    def id(self, place: int) -> int:
        return self.left[place] * self.most + place

    def put(self, place: int, new: New, state: NDArray) -> int:
        name = self.id(place)
        self.items[place], self.states[place], self.live[name] = new, state.copy(), place
        self.given.add(name)
        return name

    def retire(self, place: int) -> None:
        item = self.items[place]
        self.store.release(item.slot, item.offset, item.rows)
        del self.live[self.id(place)]
        self.items[place] = item._replace(slot=-1)
        self.left[place] += 1

    def locate(self, ids: Sequence[int]) -> tuple[int, list[tuple[int, bool]]]:
        """The first id that never was, or -1, and of those before it the place and whether it is held."""
        unknown = [i for i, name in enumerate(ids) if name not in self.given]
        known = ids[: unknown[0]] if unknown else ids
        return unknown[0] if unknown else -1, [(name % self.most, name in self.live) for name in known]

    def window(self, place: int, sizes: Sizes) -> Ints:
        """The stored rows of an item, its trained part where that of every item is."""
        item, block = self.items[place], self.store.block
        slots = np.array(self.store.chain(item.slot, item.offset, item.rows))
        rows = (slots[:, None] * block + np.arange(block)).ravel()[item.offset : item.offset + item.rows]
        width = sizes.context + sizes.burn_in + sizes.unroll + sizes.n_step
        first = sizes.context + sizes.burn_in - item.context - item.burn_in
        return rows[np.clip(np.arange(width) - first, 0, item.rows - 1)]

    def same_as(self, table: ItemTable) -> None:
        for name in self.FIELDS:
            wanted = np.full(self.capacity, -1 if name == "slot" else 0)
            for place, item in self.items.items():
                wanted[place] = getattr(item, name)
            np.testing.assert_array_equal(table.table[name], wanted, name)
        assert table.table["generation"].tolist() == self.left
        for place, state in self.states.items():
            np.testing.assert_array_equal(table.core[place], state)


def pieces(rows: Ints, block: int, count: Ints) -> list[tuple[int, ...]]:
    """Windows [B, T] cut where the slot changes, as `kernels.reading.pieces` lists them."""
    found = []
    for b, window in enumerate(rows):
        slots = window // block
        for part in np.split(np.arange(len(window)), np.flatnonzero(np.diff(slots)) + 1):
            values = window[part].tolist()
            begin = len(values) - 1 - values[::-1].index(values[0])
            stop = max(values.index(values[-1]), begin) + 1
            start, slot = int(part[0]), int(slots[part[0]])
            found.append(
                (
                    b,
                    start,
                    start + begin,
                    start + stop,
                    start + len(values),
                    slot,
                    values[0] % block,
                    int(count[slot]),
                )
            )
    return found


def searched(values: NDArray[np.float64], targets: NDArray[np.float64]) -> Ints:
    """The index in which each running sum falls; past the total, the last that has value."""
    found = np.searchsorted(np.cumsum(values), targets, side="right")
    return np.minimum(found, np.flatnonzero(values)[-1])


def without(places: list[int], gone: Sequence[int]) -> list[int]:
    """A list in which the last takes the place of each that goes."""
    left = list(places)
    for place in gone:
        hole = left.index(place)
        left[hole] = left[-1]
        left.pop()
    return left
