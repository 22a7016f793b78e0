"""The loops of storage, sequencer and item table. `tests/replay/kernel_twins.py` says the same in plain numpy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.kernels.kernel import inner, kernel
from r2d2.types import SequenceLayout

MOST = 2**15 - 1  # rows of a block, and steps of each part of an item: counted in 16 bits
NOTHING = 2**62  # low-water row of a stream whose episode is over: no row written so far is needed
FREE, SERIAL, ROWS = range(3)  # of `Blocks.counters`

# An item in the table; it is the layout of checkpoints too.
ITEM_FIELDS = ("context", "burn_in", "length", "lookahead")
ITEM = np.dtype(
    [("slot", "i4"), ("generation", "i4"), *((name, "i2") for name in ("offset", *ITEM_FIELDS))], align=True
)

# A finished item on its way from the sequencer into the table. `row` is the stream row of its first row,
# `slot` and `offset` say where that is stored, `rows` is how many it has; `number` counts within the episode.
NEW_ITEM = np.dtype(
    [(name, "i8") for name in ("stream", "row", "slot", "offset", *ITEM_FIELDS, "rows", "number")]
)


# The named tuples below cost 0.5 to 1 microsecond each where Python passes them to a kernel. So the kernels that
# a replay calls for every row take plain tuples of the same fields, and convert them first.


class Blocks(NamedTuple):
    """The index of a storage: its slots [S], the streams [N] that write to them, and free slots."""

    refs: NDArray[np.int32]  # [S] references; a slot without any is free
    following: NDArray[np.int32]  # [S] the slot of the stream's next block, -1: none yet
    open_stream: NDArray[np.int32]  # [S] the stream that fills the slot, -1: full or free
    serial: NDArray[np.int64]  # [S] names the block in the slot, for the whole run
    filled: NDArray[np.int16]  # [S] rows in use, from the slot's start
    cursor: NDArray[np.int64]  # [N] the row that the stream writes next
    held: NDArray[np.int64]  # [N] the first block, by number, that the writer still holds
    closed: NDArray[np.bool_]  # [N] the next row opens a block
    began: NDArray[np.int64]  # [N] the first row in use of the block that the stream fills
    recent: NDArray[np.int32]  # [N, ring] slots by block number
    free: NDArray[np.int32]  # [S] a stack of free slots
    counters: NDArray[np.int64]  # [3] free slots, serials given out, rows in slots that are not free
    pinned: NDArray[
        np.int32
    ]  # [S] readers that still copy from the slot; it may be free, but is not filled again


class Cutter(NamedTuple):
    """How far a sequencer is in the streams [N]."""

    episode_row: NDArray[np.int64]  # [N] rows of the running episode so far
    next_item: NDArray[np.int64]  # [N] number of the next item of the running episode
    pending: NDArray[np.float32]  # [N, ring, C] recurrent states of items under construction, by number


@kernel
def finite(values):
    """Whether no value is NaN or infinite."""
    for i in range(len(values)):  # noqa: SIM110 (the compiler knows no generators)
        if not np.isfinite(values[i]):
            return False
    return True


@inner
def open_slot(blocks):
    """Take the newest free slot from which nobody copies; there is one."""
    free, k = blocks.free, blocks.counters[FREE] - 1
    while blocks.pinned[free[k]] > 0:
        k -= 1
    slot = free[k]
    blocks.counters[FREE] -= 1
    for i in range(k, blocks.counters[FREE]):  # the others keep their order
        free[i] = free[i + 1]
    return slot


@inner
def can_open(n, blocks):
    """Whether n free slots are not copied from."""
    k = blocks.counters[FREE]
    while n > 0 and k > 0:
        k -= 1
        n -= blocks.pinned[blocks.free[k]] == 0
    return n <= 0


@kernel
def room_to_open(n, blocks):
    """`can_open`."""
    return can_open(n, blocks)


@inner
def append(streams, last, block, lead, aligned, blocks, at, rows, full):
    """Give one row to each stream: `at` is where it is stored, `rows` its number in the stream, `full`
    whether it is the last of its block."""
    counters, recent = blocks.counters, blocks.recent
    window = recent.shape[1]
    for i in range(len(streams)):
        stream = streams[i]
        row = blocks.cursor[stream]
        number, offset = row // block, row % block
        if blocks.closed[stream]:
            slot = open_slot(blocks)
            if blocks.held[stream] < number:  # its last block is still there: chain the new one behind it
                blocks.following[recent[stream, (number - 1) % window]] = slot
            recent[stream, number % window] = slot
            blocks.following[slot] = -1
            blocks.refs[slot] = 1
            blocks.open_stream[slot] = stream
            blocks.serial[slot] = counters[SERIAL]
            counters[SERIAL] += 1
            counters[ROWS] += offset
            blocks.closed[stream] = False
            blocks.began[stream] = offset
        slot = recent[stream, number % window]
        blocks.filled[slot] = offset + 1
        counters[ROWS] += 1
        at[i], rows[i] = slot * block + offset, row
        ends = aligned and last[i]
        full[i] = ends or offset == block - 1
        if full[i]:
            blocks.open_stream[slot] = -1
            blocks.closed[stream] = True
        blocks.cursor[stream] = (number + 1) * block + lead if ends else row + 1


@inner
def decref(slot, blocks):
    """One reference less; a slot without any joins the free ones."""
    blocks.refs[slot] -= 1
    if blocks.refs[slot] == 0:
        blocks.free[blocks.counters[FREE]] = slot
        blocks.counters[FREE] += 1
        blocks.counters[ROWS] -= blocks.filled[slot]


@inner
def decref_chain(slot, left, block, blocks):
    """One reference less to every slot of a chain that begins `left` rows before its end."""
    while left > 0:
        after = blocks.following[slot]
        decref(slot, blocks)
        left -= block
        slot = after


@inner
def incref_items(new, count, block, blocks):
    """One reference more to every slot that the first `count` new items (NEW_ITEM) need."""
    for i in range(count):
        item = new[i]
        slot, left = item.slot, item.offset + item.rows
        while left > 0:
            blocks.refs[slot] += 1
            slot = np.int64(blocks.following[slot])
            left -= block


@kernel
def incref(new, block, blocks):
    """One reference more to every slot that new items (NEW_ITEM) need."""
    incref_items(new, len(new), block, blocks)


@kernel
def decref_items(new, block, blocks):
    """Undo `incref`."""
    for item in new:
        decref_chain(item.slot, item.offset + item.rows, block, blocks)


@inner
def unhold(streams, low_water, block, blocks):
    """The writers drop their references to full blocks that lie wholly before the low-water rows."""
    held, window = blocks.held, blocks.recent.shape[1]
    for i in range(len(streams)):
        stream = streams[i]
        end = min(low_water[i], blocks.cursor[stream]) // block
        while held[stream] < end:
            decref(blocks.recent[stream, held[stream] % window], blocks)
            held[stream] += 1


@inner
def refused_row(streams, last, core, sizes, cutter):
    """The first stream whose row makes no sense: (index, 1) a final row without an action before it, (index, 2) a
    recurrent state that is to be kept but is not finite; (-1, 0) if all is well."""
    for i in range(len(streams)):
        row = cutter.episode_row[streams[i]]
        if last[i] and row == 0:
            return i, 1
        if row == 0 or (row + sizes.burn_in) % sizes.period == 0:
            for c in range(core.shape[1]):
                if not np.isfinite(core[i, c]):
                    return i, 2
    return -1, 0


@kernel
def refused(streams, last, core, sizes, cutter):
    """`refused_row`."""
    return refused_row(streams, last, core, SequenceLayout(*sizes), Cutter(*cutter))


@inner
def keep(core, i, pending, stream, place):
    for c in range(core.shape[1]):
        pending[stream, place, c] = core[i, c]


@inner
def advance_rows(streams, rows, last, core, sizes, cutter, out, low_water):
    """Keep the states before the first rows of items, and put the items that the rows just written complete into
    `out` (NEW_ITEM), all but where they are stored. Returns the number of items."""
    burn_in, unroll, n_step, period, context = sizes
    episode_row, next_item, pending = cutter
    ring = pending.shape[1]
    count = 0
    for i in range(len(streams)):
        stream = streams[i]
        at = episode_row[stream]
        if at == 0:
            for k in range(burn_in // period + 1):
                keep(core, i, pending, stream, k % ring)
        elif (at + burn_in) % period == 0:
            keep(core, i, pending, stream, (at + burn_in) // period % ring)
        start = rows[i] - at  # stream row of the episode's first row
        k = next_item[stream]
        while True:
            first = k * period
            if last[i]:
                covered = k > 0 and first - period + unroll >= at
                if first >= at or covered:
                    break
            elif at < first + unroll + n_step - 1:
                break
            begin = max(0, first - burn_in)
            item = out[count]
            item.stream, item.number = stream, k
            item.context, item.burn_in = min(context, begin), first - begin
            item.length = min(unroll, at - first) if last[i] else unroll
            item.lookahead = min(n_step, at - (first + item.length - 1))
            item.row = start + begin - item.context
            item.rows = item.context + item.burn_in + item.length + item.lookahead
            count += 1
            k += 1
        if last[i]:
            episode_row[stream] = 0
            next_item[stream] = 0
            low_water[i] = NOTHING
        else:
            episode_row[stream] = at + 1
            next_item[stream] = k
            low_water[i] = start + max(0, k * period - burn_in - context)
    return count


@kernel
def advance(streams, rows, last, core, sizes, cutter, out, low_water):
    """`advance_rows`."""
    return advance_rows(streams, rows, last, core, sizes, cutter, out, low_water)


@inner
def step_rows(streams, last, core, block, lead, aligned, blocks, sizes, cutter, at, full, out):
    """One row of each stream: `append`, `advance`, references for the new items, `unhold`.

    Fills `out` (NEW_ITEM) with the new items and returns their number.
    """
    recent = blocks.recent
    rows = np.empty(len(streams), np.int64)
    low_water = np.empty(len(streams), np.int64)
    append(streams, last, block, lead, aligned, blocks, at, rows, full)
    count = advance_rows(streams, rows, last, core, sizes, cutter, out, low_water)
    for i in range(count):
        item = out[i]
        item.slot = recent[item.stream, item.row // block % recent.shape[1]]
        item.offset = item.row % block
    incref_items(out, count, block, blocks)
    unhold(streams, low_water, block, blocks)
    return count


@kernel
def step(streams, last, core, block, lead, aligned, blocks, sizes, cutter, at, full, out):
    """`step_rows`."""
    blocks, sizes, cutter = Blocks(*blocks), SequenceLayout(*sizes), Cutter(*cutter)
    return step_rows(streams, last, core, block, lead, aligned, blocks, sizes, cutter, at, full, out)


@kernel
def put(places, new, table, most, pending, core, ids):
    """Fill places of the table with new items (NEW_ITEM); their recurrent states come from `pending`."""
    for i in range(len(places)):
        item, source = table[places[i]], new[i]
        item.slot, item.offset = source.slot, source.offset
        item.context, item.burn_in = source.context, source.burn_in
        item.length, item.lookahead = source.length, source.lookahead
        ids[i] = np.int64(item.generation) * most + places[i]
        ring = source.number % pending.shape[1]
        for c in range(core.shape[1]):
            core[places[i], c] = pending[source.stream, ring, c]


@inner
def retire_one(place, block, blocks, table):
    """Empty a place of the table and drop the references of what was in it."""
    item = table[place]
    rows = item.context + item.burn_in + item.length + item.lookahead
    decref_chain(item.slot, item.offset + rows, block, blocks)
    item.slot = -1
    item.generation += 1


@kernel
def retire(places, block, blocks, table):
    """Empty places of the table and drop the references of what was in them."""
    blocks = Blocks(*blocks)
    for place in places:
        retire_one(place, block, blocks, table)


@kernel
def locate(ids, table, most, places, held):
    """The place of each id and whether its item is still there; returns the first that never was, or -1."""
    for i in range(len(ids)):
        if ids[i] < 0:
            return i
        generation = ids[i] // most
        place = ids[i] - generation * most
        if place >= len(table):
            return i
        item = table[place]
        if generation > item.generation or (generation == item.generation and item.slot < 0):
            return i
        places[i], held[i] = place, generation == item.generation
    return -1
