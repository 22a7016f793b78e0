"""The steps that a replay holds, episode by episode: to count them, or to take them elsewhere.

Items overlap, so reading all items reads most steps several times. Here each stored step appears once. What
was removed is gone: the oldest episode of a stream may have lost its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.kernels import reading as kernels
from r2d2.replay.replay import Replay

Ints = NDArray[np.int64]

AT_ONCE = 4096  # items looked at together; ours: a few MB of row numbers


@dataclass(frozen=True)
class Episodes:
    """Whole episodes or what is left of them, by the time they ended, oldest first (to within a block).

    Episode i is the stored rows line[first[i]] to line[first[i] + rows[i] - 1]; the last of them has only an
    observation. Valid until the replay is written to.
    """

    line: Ints  # stored rows: slot * block + offset
    first: Ints  # [E]
    rows: Ints  # [E]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def steps(self) -> Ints:
        """Actions of each episode [E]."""
        return self.rows - 1


def stored_episodes(replay: Replay) -> Episodes:
    """All steps that some item refers to, an episode's burn-in and lookahead rows included.

    The items of one episode overlap and items of different episodes never do, so following the items' rows
    finds the episodes: no column is read. 17 bytes a row are used on the way.
    """
    storage, sequencer = replay.storage, replay.sequencer
    rows = storage.slots * storage.block
    after = np.full(rows, -1, np.int64)
    used, led_to = np.zeros((2, rows), np.bool_)
    places = replay.items.places
    for start in range(0, len(places), AT_ONCE):
        found = replay.items.windows(places[start : start + AT_ONCE], storage, sequencer)
        kernels.follow(found.rows, used, after, led_to)
    line, first = np.empty(int(used.sum()), np.int64), np.empty(int((used & ~led_to).sum()), np.int64)
    kernels.walk(used, after, led_to, line, first)
    end = np.append(first[1:], len(line))[: len(first)]  # none where there is no item
    last = line[end - 1]
    age = np.lexsort((last % storage.block, storage.blocks.serial[last // storage.block]))
    return Episodes(line, first[age], (end - first)[age])


def read_episode(
    replay: Replay, episodes: Episodes, index: int, names: Iterable[str] | None = None
) -> dict[str, NDArray[Any]]:
    """Columns [rows, ...] of one episode, all or some; frames as they were stored, without a stack."""
    first, context = int(episodes.first[index]), replay.sequencer.context
    rows = episodes.line[first : first + int(episodes.rows[index])]
    padded = np.append(np.repeat(rows[:1], context), rows)[None]  # storage reads what comes before along
    chosen = list(replay.columns if names is None else names)
    arrays = replay.storage.allocate(chosen, padded.shape, context, whole=True)
    for job in replay.storage.read(padded, arrays):
        job()
    return {name: arrays.columns[name][0, replay.columns[name].context :] for name in chosen}
