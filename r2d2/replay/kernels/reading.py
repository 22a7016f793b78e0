"""The loops that read stored rows: cut them where their block changes, and follow them through episodes."""

from __future__ import annotations

import numpy as np

from r2d2.replay.kernels.kernel import kernel

# A run of one item's rows that lie in one block: t from `start` to before `end`, of which those before
# `begin` and from `stop` on are padding, which repeats a row. Row `begin` is at `offset` of `slot`, which
# has `filled` rows.
SEGMENT = np.dtype(
    [(name, "i8") for name in ("item", "start", "begin", "stop", "end", "slot", "offset", "filled")]
)


@kernel
def segments(rows, block, filled):
    """Cut rows [B, T] (slot * block + offset) into SEGMENTs."""
    found = np.empty(rows.size, SEGMENT)
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
            segment = found[n]
            segment.item, segment.start, segment.begin, segment.stop, segment.end = b, start, begin, stop, end
            segment.slot, segment.offset, segment.filled = slot, rows[b, begin] - slot * block, filled[slot]
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
