"""The loops of a storage: how streams fill blocks, and when a slot is free again.

`tests/replay/kernel_twins.py` says the same as the loops of `blocks`, `cutting` and `table` in plain numpy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.kernels.kernel import inner, kernel

MOST = 2**15 - 1  # rows of a block, and steps of each part of an item: counted in 16 bits
FREE, SERIAL, ROWS = range(3)  # of `Blocks.counters`

# `Blocks` and `cutting.Cutter` cost 0.5 to 1 microsecond each where Python passes them to a kernel. So the kernels
# that a replay calls for every row take plain tuples of the same fields, and convert them first.


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
