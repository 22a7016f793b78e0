"""One loop for each call of a replay: write, draw, update. They hold their arrays, see `kernels.held`."""

from __future__ import annotations

import numpy as np

from r2d2.replay.kernels import held as arrays
from r2d2.replay.kernels import places, reading, sum_tree
from r2d2.replay.kernels.blocks import FREE, ROWS, Blocks, can_open
from r2d2.replay.kernels.cutting import Cutter, refused_row, step_rows
from r2d2.replay.kernels.finite import finite_rows
from r2d2.replay.kernels.held import copy_bytes, cube, matrix, part, prefetch, vector
from r2d2.replay.kernels.kernel import inner, kernel
from r2d2.replay.kernels.table import ITEM, NEW_ITEM, locate, put, retire_one
from r2d2.types import SequenceLayout

OTHER, TREE, DENSE = range(3)  # selectors: one that these loops do not know, `Proportional`, `Uniform`
# What `write` may return: minus the reasons of `cutting.refused_row`, and others.
VALUE_NOT_FINITE, NO_ROOM, GROW, WAIT = -3, -4, -5, -6
# Of its report: new items, steps, free slots before those that were freed last, where the queue began.
COUNT, STEPS, KEPT, BEGAN = range(4)
UNUSED, MOST = range(2)  # of the numbers of a table: free places, all places that there may be
HIGHEST = 1e30  # priority; ours: sums over any number of items stay far from the end of float64


@inner
def blocks_of(held):
    return Blocks(
        vector(held.refs, np.int32),
        vector(held.following, np.int32),
        vector(held.open_stream, np.int32),
        vector(held.serial, np.int64),
        vector(held.filled, np.int16),
        vector(held.cursor, np.int64),
        vector(held.held, np.int64),
        vector(held.closed, np.bool_),
        vector(held.began, np.int64),
        matrix(held.recent, np.int32),
        vector(held.free, np.int32),
        vector(held.counters, np.int64),
        vector(held.pinned, np.int32),
    )


@inner
def cutter_of(held):
    return Cutter(
        vector(held.episode_row, np.int64), vector(held.next_item, np.int64), cube(held.pending, np.float32)
    )


@inner
def layout_of(held):
    return SequenceLayout(held.burn_in, held.unroll, held.n_step, held.period, held.context)


# -- writing -----------------------------------------------------------------------------------------------


@inner
def pop(held, blocks, n):
    """Up to n items leave, the oldest first: from queue, table and selector. The sums of the tree are left to
    `take_in`, or to the tree that is made when everything grows."""
    ring, ends, count = vector(held.ring, np.int32), vector(held.ends, np.int64), vector(held.count, np.int64)
    table, spare, numbers = (
        vector(held.table, ITEM),
        vector(held.spare, np.int32),
        vector(held.numbers, np.int64),
    )
    leaves, dense, index_of = (
        vector(held.leaves, np.float64),
        vector(held.dense, np.int32),
        vector(held.index, np.int32),
    )
    n = min(n, ends[1] - ends[0])
    for i in range(n):
        place = np.int64(ring[(ends[0] + i) % len(ring)])
        retire_one(place, held.block, blocks, table)
        spare[numbers[UNUSED] + i] = place
        if held.selector == TREE:
            leaves[place] = 0.0
        else:
            places.fill_hole(place, dense, index_of, count[0] - 1 - i)
    numbers[UNUSED] += n
    count[0] -= n
    ends[0] += n


@inner
def make_room(held, blocks, streams):
    """Remove items until the next rows of these streams have their blocks and the steps kept are few enough;
    returns how many blocks they open, -1 if that cannot be."""
    ends, counters = vector(held.ends, np.int64), blocks.counters
    opened = 0
    for stream in streams:
        opened += blocks.closed[stream]
    while True:
        short = opened - (counters[FREE] - held.reserve)
        over = counters[ROWS] + len(streams) - held.most_rows
        if short <= 0 and over <= 0:
            return opened
        if ends[0] == ends[1]:
            for i in range(held.tree.first):
                vector(held.tree, np.float64)[i] = 0.0  # nothing is left in it
            return opened if short <= 0 else -1
        pop(held, blocks, max(short, -(-over // held.block)))


@kernel
def write(address, streams, last, core, value, begin):
    """Check and store a row of each stream, whose small columns are staged, and take in the items that it
    completes, with `value` in the tree.

    Returns how many these are, or a negative number for what is missing. `begin` is negative, or after `WAIT` where
    the queue began in the first try.
    """
    held = arrays.held(address)
    blocks, cutter, sizes = blocks_of(held), cutter_of(held), layout_of(held)
    report, new = vector(held.report, np.int64), vector(held.new, NEW_ITEM)
    at, full = part(held.at, len(streams), np.int64), part(held.full, len(streams), np.bool_)
    if not finite_rows(held, len(streams)):
        return VALUE_NOT_FINITE
    _, reason = refused_row(streams, last, core, sizes, cutter)
    if reason:
        return -reason
    if begin < 0:
        begin, report[KEPT] = vector(held.ends, np.int64)[0], blocks.counters[FREE]
    report[BEGAN] = begin
    opened = make_room(held, blocks, streams)
    if opened < 0:
        return NO_ROOM
    if not can_open(opened, blocks):
        return WAIT
    report[KEPT] = max(0, report[KEPT] - opened)
    layout = (held.block, held.lead, held.aligned)
    count = step_rows(streams, last, core, *layout, blocks, sizes, cutter, at, full, new)
    records, size, steps = held.records, held.records.second, 0
    for i in range(len(at)):
        copy_bytes(records.address + at[i] * size, held.staged.address + i * size, size)
        steps += not last[i]
    report[STEPS], report[COUNT] = steps, count
    numbers = vector(held.numbers, np.int64)
    if count > numbers[UNUSED] and held.capacity < numbers[MOST] and blocks.counters[ROWS] < held.most_rows:
        return GROW
    return take_in(held, blocks, cutter, begin, value)


@kernel
def insert(address, value):
    """The end of a `write` that the table had to grow for."""
    held = arrays.held(address)
    return take_in(held, blocks_of(held), cutter_of(held), vector(held.ends, np.int64)[0], value)


@inner
def take_in(held, blocks, cutter, begin, value):
    """Put the new items of a write into queue, table and selector, which may hold `capacity`; returns their
    number. The queue began at `begin` when the write did."""
    ids, ring, ends = vector(held.ids, np.int64), vector(held.ring, np.int32), vector(held.ends, np.int64)
    table, core = vector(held.table, ITEM), matrix(held.core, np.float32)
    count, spare, numbers = (
        vector(held.count, np.int64),
        vector(held.spare, np.int32),
        vector(held.numbers, np.int64),
    )
    new = part(held.new, vector(held.report, np.int64)[COUNT], NEW_ITEM)
    if len(new) > numbers[UNUSED]:
        pop(held, blocks, len(new) - numbers[UNUSED])
    numbers[UNUSED] -= len(new)
    popped = ends[0] - begin
    if popped <= len(new):  # the new ones are where those were
        popped = 0
    changed = np.empty(len(new) + popped, np.int64)
    for i in range(len(new)):
        changed[i] = spare[numbers[UNUSED] + i]
    for i in range(popped):
        changed[len(new) + i] = ring[(begin + i) % len(ring)]
    chosen = changed[: len(new)]
    put(chosen, new, table, numbers[MOST], cutter.pending, core, ids)
    if held.selector == TREE:
        tree, leaves = vector(held.tree, np.float64), vector(held.leaves, np.float64)
        for place in chosen:
            leaves[place] = value
        sum_tree.repair(tree, leaves, len(tree) // 2, changed)
    else:
        places.append(chosen, vector(held.dense, np.int32), vector(held.index, np.int32), count[0])
    count[0] += len(new)
    places.push(ring, ends[1], chosen)
    ends[1] += len(new)
    return len(new)


# -- drawing -----------------------------------------------------------------------------------------------


@inner
def draw(held, points, chosen):
    """Items at these random points, which become their probabilities."""
    n = len(points)
    if held.selector == TREE:
        tree, leaves = vector(held.tree, np.float64), vector(held.leaves, np.float64)
        if held.stratified:
            for i in range(n):
                points[i] = (i + points[i]) / n
        for i in range(n):
            points[i] *= tree[1]
        found = sum_tree.find(tree, leaves, len(tree) // 2, points)
        for i in range(n):
            chosen[i], points[i] = found[i], leaves[found[i]] / tree[1]
    else:
        dense, count = vector(held.dense, np.int32), vector(held.count, np.int64)[0]
        for i in range(n):
            chosen[i] = dense[np.int64(points[i] * count)]
            points[i] = 1.0 / count


@inner
def weigh(probability, items, beta, smallest, weight):
    """See `r2d2.replay.draw.importance_weights`; without a `smallest` probability it is negative."""
    if beta == 0.0:
        for i in range(len(weight)):
            weight[i] = 1.0
        return
    scaled, largest = np.empty(len(probability)), 0.0
    for i in range(len(probability)):
        scaled[i] = (items * probability[i]) ** -beta
        largest = max(largest, scaled[i])
    if smallest >= 0.0:
        largest = (items * smallest) ** -beta
    for i in range(len(probability)):
        weight[i] = scaled[i] / largest


@kernel
def sample(address, drawn, points, items, beta, smallest, chosen, numbers, rows, core, weight, records):
    """Draw items, or read the `chosen` ones where `drawn` says that they are, with these probabilities.

    `numbers` [4, n] are burn_in, length, lookahead and ids; `records` [n, bytes] the small columns.
    """
    held = arrays.held(address)
    if not drawn:
        draw(held, points, chosen)
    found = reading.Windows(rows, numbers[0], numbers[1], numbers[2], numbers[3])
    table, following = vector(held.table, ITEM), vector(held.following, np.int32)
    reading.windows(
        chosen, table, vector(held.numbers, np.int64)[MOST], following, held.block, layout_of(held), found
    )
    reading.gather(rows, 0, held.records.address, held.records.second, records.ctypes.data)
    size = 4 * core.shape[1]
    for i in range(len(chosen)):
        if i + 1 < len(chosen):
            for line in range(0, size, 64):
                prefetch(held.core.address + chosen[i + 1] * size + line)
        copy_bytes(core.ctypes.data + i * size, held.core.address + chosen[i] * size, size)
    weigh(points, items, beta, smallest, weight)


# -- updating ----------------------------------------------------------------------------------------------


@kernel
def update(address, ids, priorities, add, exponent):
    """Set priorities, of those items that are still there. Returns how many are not, and the highest priority of
    the others, negative without any; -1 and nothing changed for an id or a priority that cannot be."""
    held = arrays.held(address)
    for i in range(len(priorities)):
        if not 0.0 <= priorities[i] <= HIGHEST:
            return -1, 0.0
    found, there = np.empty(len(ids), np.int64), np.empty(len(ids), np.bool_)
    unknown = locate(ids, vector(held.table, ITEM), vector(held.numbers, np.int64)[MOST], found, there)
    if unknown >= 0:
        return -1, 0.0
    count = 0
    values = np.empty(len(ids))
    for i in range(len(ids)):
        if there[i]:
            found[count], values[count] = found[i], priorities[i]
            count += 1
    highest = -1.0
    if held.selector == TREE and count:
        tree, leaves = vector(held.tree, np.float64), vector(held.leaves, np.float64)
        highest = sum_tree.assign_powers(
            tree, leaves, len(tree) // 2, found[:count], values[:count], add, exponent
        )
    return len(ids) - count, highest
