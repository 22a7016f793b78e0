"""The loops of selectors and removers: lists, queues and chains of places."""

from __future__ import annotations

import numpy as np

from r2d2.replay.kernels.kernel import inner, kernel


@kernel
def append(places, dense, index, count):
    for i in range(len(places)):
        dense[count + i] = places[i]
        index[places[i]] = count + i


@inner
def fill_hole(place, dense, index, last):
    """Put the last live place where another one was."""
    hole, mover = index[place], dense[last]
    dense[hole] = mover
    index[mover] = hole
    index[place] = -1


@kernel
def fill_holes(places, dense, index, count):
    """Put the last live place into each hole: O(1) per item and no order to keep."""
    for i in range(len(places)):
        fill_hole(places[i], dense, index, count - 1 - i)


@kernel
def push(ring, end, places):
    for i in range(len(places)):
        ring[(end + i) % len(ring)] = places[i]


@kernel
def take(ring, first, n):
    places = np.empty(n, np.int64)
    for i in range(n):
        places[i] = ring[(first + i) % len(ring)]
    return places


@kernel
def link(places, streams, head, older, newer, stream_of):
    """Put items at the new end of their streams' chains, in order."""
    for i in range(len(places)):
        place, stream = places[i], streams[i]
        before = head[stream]
        older[place], newer[place], stream_of[place] = before, -1, stream
        if before >= 0:
            newer[before] = place
        head[stream] = place


@kernel
def unlink(places, head, older, newer, stream_of):
    """Take items out of their chains, wherever in them they are."""
    for place in places:
        before, after = older[place], newer[place]
        if before >= 0:
            newer[before] = after
        if after >= 0:
            older[after] = before
        else:
            head[stream_of[place]] = before
        stream_of[place] = -1


@kernel
def newest_of_each(head, older, newest, out):
    """The up to `newest` last items of every stream's chain; returns how many."""
    count = 0
    for stream in range(len(head)):
        place = head[stream]
        for _ in range(newest):
            if place < 0:
                break
            out[count] = place
            count += 1
            place = older[place]
    return count


@kernel
def is_newest(places, newer, newest, out):
    """Which items have fewer than `newest` newer ones of their stream."""
    for i in range(len(places)):
        after = newer[places[i]]
        for _ in range(newest):
            if after < 0:
                out[i] = True
                break
            after = newer[after]
