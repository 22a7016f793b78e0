"""The loops that read stored rows: find those of items, cut them where their block changes, and follow them through
episodes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.kernels.held import copy_bytes, prefetch
from r2d2.replay.kernels.kernel import inner, kernel
from r2d2.types import SequenceLayout

# A run of one item's rows that lie in one block: t from `start` to before `end`, of which those before
# `begin` and from `stop` on are padding, which repeats a row. Row `begin` is at `offset` of `slot`, which
# has `filled` rows.
PIECE = np.dtype(
    [(name, "i8") for name in ("item", "start", "begin", "stop", "end", "slot", "offset", "filled")]
)


class Windows(NamedTuple):
    """Items [B] as they are read: stored rows [B, T], slot * block + offset, and what `Batch` says of them."""

    rows: NDArray[np.int64]
    burn_in: NDArray[np.int64]
    length: NDArray[np.int64]
    lookahead: NDArray[np.int64]
    ids: NDArray[np.int64]


@kernel
def windows(places, table, most, following, block, sizes, found):
    """Fill `found` with the items in these places.

    The trained part begins at context + burn_in. Left padding repeats the first row, right padding the last.
    """
    sizes, found = SequenceLayout(*sizes), Windows(*found)
    rows, lead = found.rows, sizes.context + sizes.burn_in
    slots, offsets = np.empty(len(places), np.int64), np.empty(len(places), np.int64)
    lefts, ends = np.empty(len(places), np.int64), np.empty(len(places), np.int64)
    for i in range(len(places)):  # apart from the next loop, so that the processor can look ahead
        item = table[places[i]]
        slots[i], offsets[i] = item.slot, item.offset
        found.burn_in[i], found.length[i], found.lookahead[i] = item.burn_in, item.length, item.lookahead
        found.ids[i] = np.int64(item.generation) * most + places[i]
        lefts[i] = lead - item.context - item.burn_in
        ends[i] = lead + item.length + item.lookahead
    for i in range(len(places)):
        slot, offset = slots[i], offsets[i]
        for t in range(rows.shape[1]):
            if lefts[i] < t < ends[i]:
                offset += 1
                if offset == block:
                    slot, offset = np.int64(following[slot]), 0
            rows[i, t] = slot * block + offset


@inner
def gather(rows, skip, source, size, out):
    """Copy rows [B, T], of `size` bytes each, between two addresses, all but the first `skip` of each item; those
    that lie together at once."""
    width = rows.shape[1]
    for b in range(rows.shape[0]):
        if b + 1 < rows.shape[0]:  # waiting for memory is most of the work where much is held
            for t in range(skip, width):
                prefetch(source + rows[b + 1, t] * size)
        t = skip
        while t < width:
            run = 1
            while t + run < width and rows[b, t + run] == rows[b, t] + run:
                run += 1
            copy_bytes(out + (b * (width - skip) + t - skip) * size, source + rows[b, t] * size, run * size)
            t += run


@kernel
def copy_rows(rows, skip, source, size, out):
    """`gather`."""
    gather(rows, skip, source, size, out)


@kernel
def pin(rows, block, pinned, by):
    """Add to the slots of items' rows [B, T]: once for each time that an item enters one."""
    for b in range(rows.shape[0]):
        before = -1
        for t in range(rows.shape[1]):
            slot = rows[b, t] // block
            if slot != before:
                pinned[slot] += by
            before = slot


@kernel
def pieces(rows, block, filled):
    """Cut rows [B, T] (slot * block + offset) into PIECEs."""
    found = np.empty(rows.size, PIECE)
    n = 0
    for b in range(rows.shape[0]):
        start = 0
        for end in range(1, rows.shape[1] + 1):
            slot = rows[b, start] // block
            if end < rows.shape[1] and rows[b, end] // block == slot:
                continue
            begin = start
            while begin + 1 < end and rows[b, begin + 1] == rows[b, begin]:
                begin += 1
            stop = begin + 1
            while stop < end and rows[b, stop] == rows[b, stop - 1] + 1:
                stop += 1
            piece = found[n]
            piece.item, piece.start, piece.begin, piece.stop, piece.end = b, start, begin, stop, end
            piece.slot, piece.offset, piece.filled = slot, rows[b, begin] - slot * block, filled[slot]
            n += 1
            start = end
    return found[:n]


@kernel
def follow(windows, used, after, led_to):
    """Note which stored row follows which in items' rows [B, T]; padding repeats a row."""
    for b in range(windows.shape[0]):
        used[windows[b, 0]] = True
        for t in range(1, windows.shape[1]):
            row, following = windows[b, t - 1], windows[b, t]
            if row != following:
                used[following] = True
                after[row] = following
                led_to[following] = True


@kernel
def walk(used, after, led_to, line, first):
    """Write one episode's rows after the other into `line`; `first` tells where each begins."""
    episodes, count = 0, 0
    for head in range(len(used)):
        if used[head] and not led_to[head]:
            first[episodes] = count
            episodes += 1
            row = head
            while row >= 0:
                line[count] = row
                count += 1
                row = after[row]
