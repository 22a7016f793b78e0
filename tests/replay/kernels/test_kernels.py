"""The law of the kernels: whatever they return and whatever they change is what their twins say."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kernel_twins import CutterTwin, ItemsTwin, New, StoreTwin, pieces, step
from stream_twin import Sizes

from r2d2.replay.items import ItemTable
from r2d2.replay.kernels import blocks, cutting, table
from r2d2.replay.kernels.kernel import kernel
from r2d2.replay.kernels.reading import pieces as compiled_pieces
from r2d2.replay.storage import Storage
from r2d2.types import Column

# Compiled as parts of other loops only.
append_rows, unhold, decref_chain = (
    kernel(loop.py_func) for loop in (blocks.append, blocks.unhold, blocks.decref_chain)
)

seeds = st.integers(0, 2**32 - 1)


@st.composite
def all_sizes(draw: st.DrawFn) -> Sizes:
    unroll = draw(st.integers(1, 7))
    return Sizes(
        burn_in=draw(st.integers(0, 9)),
        unroll=unroll,
        n_step=draw(st.integers(1, 4)),
        period=draw(st.integers(1, unroll)),
        context=draw(st.integers(0, 3)),
    )


def storage_of(slots: int, block: int, streams: int, window: int, lead: int, aligned: bool) -> Storage:
    columns = {"x": Column((), "uint8", "lz4")} if aligned else {}
    return Storage(columns, streams=streams, slots=slots, block=block, window=window, lead=lead)


def append(storage: Storage, streams: list[int], last: list[bool]) -> list[tuple[int, int, bool]]:
    at, rows, full = (
        np.empty(len(streams), np.int64),
        np.empty(len(streams), np.int64),
        np.empty(len(streams), np.bool_),
    )
    append_rows(
        np.array(streams),
        np.array(last),
        storage.block,
        storage.lead,
        storage.aligned,
        storage.blocks,
        at,
        rows,
        full,
    )
    return list(zip(at.tolist(), rows.tolist(), full.tolist(), strict=True))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 3), st.integers(1, 12), st.integers(0, 9), st.booleans(), seeds)
def test_blocks_are_opened_chained_held_and_let_go(
    block: int, streams: int, window: int, lead: int, aligned: bool, seed: int
) -> None:
    """`append`, `unhold` and chains that begin at any row that a writer holds, all let go in any order."""
    rng = np.random.default_rng(seed)
    slots = streams * (window // block + 3) + 8
    storage = storage_of(slots, block, streams, window, lead, aligned)
    twin = StoreTwin(storage)
    chains: list[tuple[int, int, int]] = []
    for _ in range(60):
        chosen = rng.permutation(streams)[: rng.integers(1, streams + 1)].tolist()
        last = (rng.random(len(chosen)) < 0.2).tolist()
        while chains and (len(twin.free) < streams or rng.random() < 0.2):
            slot, offset, rows = chains.pop(rng.integers(len(chains)))
            twin.release(slot, offset, rows)
            decref_chain(slot, offset + rows, block, storage.blocks)
            twin.same_as(storage)
        assert append(storage, chosen, last) == list(map(twin.append, chosen, last))
        twin.same_as(storage)
        for stream in chosen:
            held = sorted(twin.holds[stream])
            first = int(rng.integers(held[0], held[-1] + 1))
            offset = int(rng.integers(block))
            room = (held[-1] - first + 1) * block - offset
            chains.append((twin.holds[stream][first], offset, int(rng.integers(1, room + 1))))
            twin.hold(*chains[-1])
            for slot in twin.chain(*chains[-1]):
                storage.blocks.refs[slot] += 1
        low = [max(0, twin.cursor[stream] - int(rng.integers(window + 1))) for stream in chosen]
        low = [cutting.NOTHING if end else row for end, row in zip(last, low, strict=True)]
        unhold(np.array(chosen), np.array(low), block, storage.blocks)
        for stream, row in zip(chosen, low, strict=True):
            twin.unhold(stream, row)
        twin.same_as(storage)


class Both:
    """Storage, sequencer and item table beside their twins."""

    def __init__(self, sizes: Sizes, streams: int, block: int, aligned: bool, spare: int, seed: int) -> None:
        self.sizes, self.rng = sizes, np.random.default_rng(seed)
        self.sequencer = sizes.sequencer(streams, core_size=2)
        window = self.sequencer.window
        slots = streams * (window // block + 3) + -(-self.sequencer.rows // block) + spare
        self.storage = storage_of(slots, block, streams, window, sizes.burn_in + sizes.context, aligned)
        capacity = streams * self.sequencer.items_at_once + spare
        self.table = ItemTable(capacity, 2, streams=streams, most=4 * capacity)
        self.store, self.cutter = StoreTwin(self.storage), CutterTwin(sizes, self.sequencer)
        self.items = ItemsTwin(self.store, capacity, 4 * capacity)
        self.streams = streams

    def same(self) -> None:
        self.store.same_as(self.storage)
        self.cutter.same_as(self.sequencer)
        self.items.same_as(self.table)

    def write(self, end_share: float) -> None:
        """One row to some streams; some of the items that this makes are turned down."""
        rng, storage = self.rng, self.storage
        chosen = rng.permutation(self.streams)[: rng.integers(1, self.streams + 1)]
        last = (rng.random(len(chosen)) < end_share) & (self.sequencer.cutter.episode_row[chosen] > 0)
        core = rng.normal(size=(len(chosen), 2)).astype(np.float32)
        while self.items.live and storage.free_blocks < len(chosen):
            self.retire()
        at, full = np.empty(len(chosen), np.int64), np.empty(len(chosen), np.bool_)
        out = np.empty(self.streams * self.sequencer.items_at_once, table.NEW_ITEM)
        layout = (storage.block, storage.lead, storage.aligned, storage.plain)
        count = cutting.step(chosen, last, core, *layout, *self.sequencer.plain, at, full, out)
        wanted = step(self.store, self.cutter, chosen.tolist(), last.tolist(), core)
        assert (at.tolist(), full.tolist()) == wanted[:2]
        assert out[:count].tolist() == wanted[2]
        self.same()
        self.put(out[:count], rng.random(count) < 0.8)

    def put(self, new: Any, accepted: Any) -> None:
        blocks.decref_items(new[~accepted], self.storage.block, self.storage.blocks)
        for item in new[~accepted].tolist():
            refused = New(*item)
            self.store.release(refused.slot, refused.offset, refused.rows)
        self.same()
        taken = new[accepted]
        while len(taken) > self.table.capacity - len(self.items.live):
            self.retire()
        free = np.setdiff1d(np.arange(self.table.capacity), list(self.items.live.values()))
        places, ids = self.rng.permutation(free)[: len(taken)], np.empty(len(taken), np.int64)
        pending = self.sequencer.cutter.pending
        table.put(places, taken, self.table.table, self.table.most, pending, self.table.core, ids)
        ring = self.sequencer.items_at_once
        for place, item, name in zip(places.tolist(), taken.tolist(), ids.tolist(), strict=True):
            new_item = New(*item)
            assert name not in self.items.given, "an id came back"
            state = self.cutter.states[new_item.stream, new_item.number % ring]
            assert self.items.put(place, new_item, state) == name
        self.same()

    def retire(self) -> None:
        """Some items, in any order."""
        places = self.rng.permutation(list(self.items.live.values()))[: self.rng.integers(1, 4)]
        table.retire(places, self.storage.block, self.storage.plain, self.table.table)
        for place in places.tolist():
            self.items.retire(place)
        self.same()

    def grow(self) -> None:
        capacity = min(self.table.most, self.table.capacity + int(self.rng.integers(1, 4)))
        self.table.grow(capacity)
        self.items.left += [0] * (capacity - self.items.capacity)
        self.items.capacity = capacity
        self.same()

    def windows(self) -> None:
        live, sizes = list(self.items.live.values()), self.sizes
        places = self.rng.choice(live, size=5) if live else np.empty(0, np.int64)
        found = self.table.windows(places, self.storage, self.sequencer)
        rows = found.rows
        for i, place in enumerate(places.tolist()):
            item = self.items.items[place]
            assert rows[i].tolist() == self.items.window(place, sizes).tolist()
            parts = (found.burn_in[i], found.length[i], found.lookahead[i])
            assert parts == (item.burn_in, item.length, item.lookahead)
            assert found.ids[i] == self.items.id(place)
        if len(places):
            got = compiled_pieces(rows, self.storage.block, self.storage.blocks.filled).tolist()
            assert got == pieces(rows, self.storage.block, self.storage.blocks.filled)

    def locate(self) -> None:
        """Held, late, never given and negative ids mixed."""
        highest = (max(self.items.left) + 2) * self.table.most
        ids = self.rng.integers(-2, highest, 5)
        if self.items.given:
            known = self.rng.choice(sorted(self.items.given), size=5)
            ids = np.where(self.rng.random(5) < 0.85, known, ids)
        places, held = np.full(5, -7), np.zeros(5, np.bool_)
        unknown = table.locate(ids, self.table.table, self.table.most, places, held)
        wanted, found = self.items.locate(ids.tolist())
        assert unknown == wanted
        assert list(zip(places.tolist(), held.tolist(), strict=True))[: len(found)] == found


@settings(max_examples=80, deadline=None)
@given(
    all_sizes(), st.integers(1, 3), st.integers(1, 8), st.booleans(), st.integers(0, 9), seeds,
    st.sampled_from([0.03, 0.15, 0.5]),
)  # fmt: skip
@example(Sizes(4, 6, 3, 4, 3), 3, 5, True, 9, 0, 0.05)
@example(Sizes(9, 4, 2, 2, 1), 2, 3, False, 9, 1, 0.05)
def test_write_put_retire_grow_locate_and_read(
    sizes: Sizes, streams: int, block: int, aligned: bool, spare: int, seed: int, end_share: float
) -> None:
    """References, free list, counters, states, places, generations and windows, after every kernel."""
    both = Both(sizes, streams, block, aligned, spare, seed)
    for _ in range(50):
        both.write(end_share)
        both.locate()
        both.windows()
        if both.items.live and both.rng.random() < 0.2:
            both.retire()
        if both.rng.random() < 0.1:
            both.grow()
    while both.items.live:
        both.retire()
    writers = sum(len(holds) for holds in both.store.holds)
    assert both.storage.free_blocks == both.storage.slots - writers


@settings(max_examples=60, deadline=None)
@given(all_sizes(), seeds)
def test_a_row_is_refused_where_it_makes_no_sense(sizes: Sizes, seed: int) -> None:
    """And `advance` alone, by stream rows that jump between episodes as aligned blocks make them."""
    rng = np.random.default_rng(seed)
    sequencer = sizes.sequencer(3, core_size=2)
    twin = CutterTwin(sizes, sequencer)
    row = np.zeros(3, np.int64)
    for _ in range(40):
        chosen = rng.permutation(3)[: rng.integers(1, 4)]
        last = rng.random(len(chosen)) < 0.3
        core = rng.normal(size=(len(chosen), 2)).astype(np.float32)
        core[rng.random(core.shape) < 0.1] = rng.choice([np.nan, np.inf, -np.inf])
        refused = cutting.refused(chosen, last, core, *sequencer.plain)
        assert refused == twin.refused(chosen.tolist(), last.tolist(), core)
        twin.same_as(sequencer)
        if refused[1]:
            continue
        out, low = np.empty(3 * sequencer.items_at_once, table.NEW_ITEM), np.empty(len(chosen), np.int64)
        count = cutting.advance(chosen, row[chosen], last, core, sequencer.layout, sequencer.cutter, out, low)
        wanted = [
            twin.advance(*each)
            for each in zip(chosen.tolist(), row[chosen].tolist(), last, core, strict=True)
        ]
        fields = ["stream", "row", *table.ITEM_FIELDS, "number"]
        assert out[:count][fields].tolist() == [item for items, _ in wanted for item in items]
        assert low.tolist() == [water for _, water in wanted]
        twin.same_as(sequencer)
        row[chosen] += np.where(last, rng.integers(1, 9, len(chosen)), 1)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 6), st.integers(1, 20), st.integers(1, 4), seeds)
def test_pieces(block: int, width: int, batch: int, seed: int) -> None:
    """Windows over chains of slots in any order, with any padding on either side."""
    rng = np.random.default_rng(seed)
    slots = width + 2
    count = rng.integers(1, block + 1, slots)
    rows = np.empty((batch, width), np.int64)
    for window in rows:
        chain = (rng.permutation(slots)[:, None] * block + np.arange(block)).ravel()
        length, first, offset = rng.integers(1, width + 1), rng.integers(-width, width), rng.integers(block)
        window[:] = chain[offset + np.clip(np.arange(width) + first, 0, length - 1)]
    got = compiled_pieces(rows, block, count.astype(np.int16))
    assert got.tolist() == pieces(rows, block, count)
    assert (got["end"] - got["start"]).sum() == rows.size
