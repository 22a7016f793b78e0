"""The loops of the item table: items are put into places, found by id, and retired."""

from __future__ import annotations

import numpy as np

from r2d2.replay.kernels.blocks import Blocks, decref_chain
from r2d2.replay.kernels.kernel import inner, kernel

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
