"""The loops of a sequencer: which items a row completes, and a whole step of all streams."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.kernels.blocks import Blocks, append, incref_items, unhold
from r2d2.replay.kernels.kernel import inner, kernel
from r2d2.types import SequenceLayout

NOTHING = 2**62  # low-water row of a stream whose episode is over: no row written so far is needed


class Cutter(NamedTuple):
    """How far a sequencer is in the streams [N]."""

    episode_row: NDArray[np.int64]  # [N] rows of the running episode so far
    next_item: NDArray[np.int64]  # [N] number of the next item of the running episode
    pending: NDArray[np.float32]  # [N, ring, C] recurrent states of items under construction, by number


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
