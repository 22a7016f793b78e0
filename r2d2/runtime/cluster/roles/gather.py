"""Gather: rows of many actors, combined so that each write to the replay takes many.

A write costs about the same for one row as for a hundred, and an actor may have a single environment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from r2d2.runtime.cluster.roles.packet import Step
from r2d2.types import Rows


class Gather:
    """Rows waiting to be written, in order for each actor; streams are numbered as in the replay."""

    def __init__(self, actors: Sequence[int]) -> None:
        self._waiting: dict[int, deque[tuple[Rows, int]]] = {actor: deque() for actor in actors}
        self.rows = 0

    def add(self, actor: int, steps: Sequence[Step], first_stream: int) -> None:
        """Steps of an actor whose environments fill the streams from `first_stream` on."""
        for step in steps:
            for rows in step.rows:
                moved = Rows(rows.values, rows.last, rows.core, rows.streams + first_stream)
                self._waiting[actor].append((moved, step.updates))
                self.rows += len(rows.streams)

    def take(self) -> Iterator[tuple[Rows, int]]:
        """All waiting rows, with the updates in the weights that acted: the next rows of actors with the same
        weights come together."""
        while self.rows:
            together: dict[int, list[Rows]] = {}
            for waiting in self._waiting.values():
                if waiting:
                    rows, updates = waiting.popleft()
                    together.setdefault(updates, []).append(rows)
                    self.rows -= len(rows.streams)
            for updates, group in together.items():
                yield _joined(group), updates


def _joined(group: list[Rows]) -> Rows:
    if len(group) == 1:
        return group[0]
    return Rows(
        {name: np.concatenate([rows.values[name] for rows in group]) for name in group[0].values},
        np.concatenate([rows.last for rows in group]),
        np.concatenate([rows.core for rows in group]),
        np.concatenate([rows.streams for rows in group]),
    )
