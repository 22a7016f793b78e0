"""The loop that decodes the beginning of an LZ4 block, which the library decodes only whole.

The format is that of lz4/doc/lz4_Block_format.md: sequences of literals and a match, each with a token whose halves
are the lengths, 15 meaning that bytes follow which are added until one is not 255. The last one has literals alone.
"""

from __future__ import annotations

import numpy as np

from r2d2.replay.kernels.held import copy_16, copy_bytes
from r2d2.replay.kernels.kernel import inner, kernel

LEAST = 4  # bytes of a match
WIDE = 16  # bytes that are copied at once
FULL = 15  # in a half of the token: the length goes on in the bytes behind it


@inner
def more_length(data, at):
    """What the bytes behind a full half of a token add to it, and where they end; beyond the data if cut off."""
    length, size = np.int64(0), len(data)
    while at < size:
        value = np.int64(data[at])
        at += 1
        length += value
        if value != 255:
            return length, at
    return length, size + 1


@kernel
def decode_prefix(data, out):
    """Fill `out` (uint8) with the first bytes that the block `data` (uint8) holds; returns how many there were.

    That is less than len(out) if the block holds less or is damaged: nothing outside either array is touched.
    """
    size, most = len(data), np.int64(len(out))
    source, target = data.ctypes.data, out.ctypes.data
    at = made = np.int64(0)
    while at < size and made < most:
        token = np.int64(data[at])
        at += 1
        literals = token >> 4
        if literals == FULL:
            added, at = more_length(data, at)
            literals += added
        if at + literals > size:
            return made
        taken = min(literals, most - made)
        if taken <= WIDE and at + WIDE <= size and made + WIDE <= most:
            copy_16(target + made, source + at)  # what is too much is written again
        else:
            copy_bytes(target + made, source + at, taken)
        at, made = at + literals, made + taken
        if made == most or at == size:
            return made
        if at + 2 > size:
            return made
        offset = np.int64(data[at]) | np.int64(data[at + 1]) << 8
        at += 2
        length = token & FULL
        if length == FULL:
            added, at = more_length(data, at)
            length += added
        if at > size or offset == 0 or offset > made:
            return made
        length = min(length + LEAST, most - made)
        repeat(target + made, offset, length, most - made)
        made += length
    return made


@inner
def repeat(target, offset, length, room):
    """Write `length` bytes, of `room`, of what lies `offset` back, which may run into what is being written."""
    done = np.int64(0)
    while done < length:
        step = min(offset, length - done)
        if step <= WIDE and done + WIDE <= room:
            copy_16(target + done, target + done - offset)  # what is too much is written again
        else:
            copy_bytes(target + done, target + done - offset, step)
        done += step
        offset += step  # what was written repeats at this distance too
