"""ItemLimit: says once when the number of items, and not `replay.steps`, limits what a replay keeps."""

from __future__ import annotations

import math
import sys

from r2d2.replay import Mixture, Replay

SHARE = 0.9  # of the steps asked for, below which it is worth a word; ours


class ItemLimit:
    """An episode makes an item at least, so short episodes use up the items before `replay.steps` are held.

    How short the episodes are is known only once they are played, and a replay does not grow.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps  # asked for
        self._said = False

    def look(self, replay: Replay | Mixture) -> None:
        """Print how many items would do, if all are in use while far fewer steps are held."""
        if self._said or len(replay) < replay.capacity or replay.rows >= SHARE * self.steps:
            return
        self._said = True
        enough = math.ceil(replay.capacity * self.steps / max(1, replay.rows))
        print(
            f"\nepisodes are short: all {replay.capacity:,} items of the replay are in use, with {replay.rows:,} "
            f"of {self.steps:,} steps; a new run with --replay.items {enough} would keep all of them",
            file=sys.stderr,
        )
