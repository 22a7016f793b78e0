"""The compiled inner loops of storage, sequencer and item table.

They are together in one file because a compiler's cache goes by file: a kernel that calls another one would
not notice its change from elsewhere. `tests/replay/kernel_twins.py` says the same in plain numpy.

The arrays of a storage and of a sequencer come as tuples, see `Storage.arrays` and `Sequencer.arrays`;
`counters` counts free slots, serials given out, and rows in slots that are held.
"""

from __future__ import annotations

import numpy as np
from numba import njit

FREE, SERIAL, ROWS = range(3)  # of a storage's counters
NOTHING = 2**62  # low-water row of a stream whose episode is over: no row written so far is needed
ITEM = np.dtype(
    [("slot", "i4"), ("generation", "i4"), ("offset", "i2"), ("context", "i2"), ("burn_in", "i2"),
     ("length", "i2"), ("lookahead", "i2")],
    align=True,
)  # fmt: skip


@njit(cache=True, nogil=True)
def finite(values):
    """Whether no value is NaN or infinite."""
    for i in range(len(values)):  # noqa: SIM110 (the compiler knows no generators)
        if not np.isfinite(values[i]):
            return False
    return True


@njit(cache=True, nogil=True)
def append(streams, last, block, lead, aligned, store, at, rows, full):
    """Give one row to each stream: `at` is where it is stored, `rows` its number in the stream, `full`
    whether it is the last of its block."""
    refs, following, open_stream, serial, count, cursor, held, closed, began, recent, free, counters = store
    window = recent.shape[1]
    for i in range(len(streams)):
        stream = streams[i]
        row = cursor[stream]
        number, offset = row // block, row % block
        if closed[stream]:
            counters[FREE] -= 1
            slot = free[counters[FREE]]
            if held[stream] < number:  # its last block is still there: chain the new one behind it
                following[recent[stream, (number - 1) % window]] = slot
            recent[stream, number % window] = slot
            following[slot] = -1
            refs[slot] = 1
            open_stream[slot] = stream
            serial[slot] = counters[SERIAL]
            counters[SERIAL] += 1
            counters[ROWS] += offset
            closed[stream] = False
            began[stream] = offset
        slot = recent[stream, number % window]
        count[slot] = offset + 1
        counters[ROWS] += 1
        at[i], rows[i] = slot * block + offset, row
        ends = aligned and last[i]
        full[i] = ends or offset == block - 1
        if full[i]:
            open_stream[slot] = -1
            closed[stream] = True
        cursor[stream] = (number + 1) * block + lead if ends else row + 1


@njit(cache=True, nogil=True)
def decref(slot, refs, count, free, counters):
    """One reference less; a slot that nobody refers to joins the free list."""
    refs[slot] -= 1
    if refs[slot] == 0:
        free[counters[FREE]] = slot
        counters[FREE] += 1
        counters[ROWS] -= count[slot]


@njit(cache=True, nogil=True)
def decref_chain(slot, left, block, refs, following, count, free, counters):
    """One reference less to every slot of a chain that begins `left` rows before its end."""
    while left > 0:
        after = following[slot]
        decref(slot, refs, count, free, counters)
        left -= block
        slot = after


@njit(cache=True, nogil=True)
def unhold(streams, low_water, block, store):
    """Let the writers go of full blocks that lie wholly before the low-water rows."""
    refs, _, _, _, count, cursor, held, _, _, recent, free, counters = store
    window = recent.shape[1]
    for i in range(len(streams)):
        stream = streams[i]
        end = min(low_water[i], cursor[stream]) // block
        while held[stream] < end:
            decref(recent[stream, held[stream] % window], refs, count, free, counters)
            held[stream] += 1


@njit(cache=True, nogil=True)
def refused(streams, last, core, sizes, cutter):
    """The first stream whose row makes no sense: (index, 1) a final row without an action before it, (index, 2) a
    recurrent state that is to be kept but is not finite; (-1, 0) if all is well."""
    burn_in, period, episode_row = sizes[0], sizes[3], cutter[0]
    for i in range(len(streams)):
        row = episode_row[streams[i]]
        if last[i] and row == 0:
            return i, 1
        if row == 0 or (row + burn_in) % period == 0:
            for c in range(core.shape[1]):
                if not np.isfinite(core[i, c]):
                    return i, 2
    return -1, 0


@njit(cache=True, nogil=True)
def advance(streams, rows, last, core, sizes, cutter, out, low_water):
    """Keep the states before the first rows of items, and emit what the rows just written complete. `out`
    columns are those of `Items`. Returns the number of items."""
    burn_in, unroll, n_step, period, context = sizes
    episode_row, next_item, pending = cutter
    ring = pending.shape[1]
    count = 0
    for i in range(len(streams)):
        stream = streams[i]
        at = episode_row[stream]
        if at == 0:
            for k in range(burn_in // period + 1):
                pending[stream, k % ring] = core[i]
        elif (at + burn_in) % period == 0:
            pending[stream, (at + burn_in) // period % ring] = core[i]
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
            length = min(unroll, at - first) if last[i] else unroll
            begin = max(0, first - burn_in)
            before = min(context, begin)
            lookahead = min(n_step, at - (first + length - 1))
            out[count] = (stream, start + begin - before, before, first - begin, length, lookahead, k)
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


@njit(cache=True, nogil=True)
def incref(new, block, store):
    """One reference more to every slot that items (rows of `step`'s `out`) need."""
    refs, following = store[0], store[1]
    for k in range(len(new)):
        slot, left = new[k, 1], new[k, 7] + new[k, 8]
        while left > 0:
            refs[slot] += 1
            slot = following[slot]
            left -= block


@njit(cache=True, nogil=True)
def step(streams, last, core, block, lead, aligned, store, sizes, cutter, at, full, out):
    """One row of each stream: `append`, `advance`, references for the new items, `unhold`.

    Fills `out` [.., 9] with the new items: stream, slot, context, burn_in, length, lookahead, number, offset and
    rows. Returns their number.
    """
    recent = store[9]
    rows = np.empty(len(streams), np.int64)
    low_water = np.empty(len(streams), np.int64)
    append(streams, last, block, lead, aligned, store, at, rows, full)
    count = advance(streams, rows, last, core, sizes, cutter, out[:, :7], low_water)
    for k in range(count):
        row = out[k, 1]
        out[k, 1] = recent[out[k, 0], row // block % recent.shape[1]]
        out[k, 7] = row % block
        out[k, 8] = out[k, 2] + out[k, 3] + out[k, 4] + out[k, 5]
    incref(out[:count], block, store)
    unhold(streams, low_water, block, store)
    return count


@njit(cache=True, nogil=True)
def abandon(new, block, store):
    """Let go of what items that are refused (rows of `step`'s `out`) would have held."""
    refs, following, _, _, count, _, _, _, _, _, free, counters = store
    for k in range(len(new)):
        decref_chain(new[k, 1], new[k, 7] + new[k, 8], block, refs, following, count, free, counters)


@njit(cache=True, nogil=True)
def put(places, new, table, pending, core, ids):
    """Fill places with new items (rows of `step`'s `out`); their recurrent states come from `pending`."""
    for i in range(len(places)):
        item = table[places[i]]
        item.slot, item.context, item.burn_in = new[i, 1], new[i, 2], new[i, 3]
        item.length, item.lookahead, item.offset = new[i, 4], new[i, 5], new[i, 7]
        ids[i] = np.int64(item.generation) * len(table) + places[i]
        core[places[i]] = pending[new[i, 0], new[i, 6] % pending.shape[1]]


@njit(cache=True, nogil=True)
def retire(places, block, store, table):
    """Empty places and let go of what they held."""
    refs, following, _, _, count, _, _, _, _, _, free, counters = store
    for i in range(len(places)):
        item = table[places[i]]
        rows = item.context + item.burn_in + item.length + item.lookahead
        decref_chain(item.slot, item.offset + rows, block, refs, following, count, free, counters)
        item.slot = -1
        item.generation += 1


@njit(cache=True, nogil=True)
def locate(ids, table, places, held):
    """The place of each id and whether its item is still there; returns the first that never was, or -1."""
    for i in range(len(ids)):
        place, generation = ids[i] % len(table), ids[i] // len(table)
        item = table[place]
        if ids[i] < 0 or generation > item.generation or (generation == item.generation and item.slot < 0):
            return i
        places[i], held[i] = place, generation == item.generation
    return -1


@njit(cache=True, nogil=True)
def windows(places, table, following, block, context, burn_in, rows, sizes, ids):
    """Stored rows [B, T] (slot * block + offset) of items, and their `sizes` [3, B]: burn_in, length, lookahead.

    The trained part begins at context + burn_in. Left padding repeats the first row, right padding the last.
    """
    slots, offsets = np.empty(len(places), np.int64), np.empty(len(places), np.int64)
    lefts, ends = np.empty(len(places), np.int64), np.empty(len(places), np.int64)
    for i in range(len(places)):  # apart from the next loop, so that the processor can look ahead
        item = table[places[i]]
        slots[i], offsets[i] = item.slot, item.offset
        sizes[0, i], sizes[1, i], sizes[2, i] = item.burn_in, item.length, item.lookahead
        ids[i] = np.int64(item.generation) * len(table) + places[i]
        lefts[i] = context - item.context + burn_in - item.burn_in
        ends[i] = context + burn_in + item.length + item.lookahead
    for i in range(len(places)):
        slot, offset = slots[i], offsets[i]
        for t in range(rows.shape[1]):
            if lefts[i] < t < ends[i]:
                offset += 1
                if offset == block:
                    slot, offset = np.int64(following[slot]), 0
            rows[i, t] = slot * block + offset
