"""Tail: an actor's last steps, held back so that its episodes can be ended if it is lost.

A lost actor leaves episodes without an end. The last observation that arrived becomes their final one, and the
step before it is a truncation: its value is bootstrapped, as at a time limit. Steps are write-once, so the last
two of each environment wait here until more come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.checks import check_count
from r2d2.replay.saved import Saved
from r2d2.runtime.cluster.roles.packet import Step
from r2d2.types import Rows

HELD = 2  # steps: the one that is truncated and the one whose observation is the final one


@dataclass
class _Row:
    """One row of one stream."""

    values: dict[str, Any]  # scalars, or arrays for columns with a shape
    last: bool
    core: NDArray[np.float32]  # [C]


class Tail:
    """The last steps of one actor's environments."""

    def __init__(self) -> None:
        self._steps: deque[Step] = deque()

    def push(self, steps: Sequence[Step], *, cut: bool) -> list[Step]:
        """Add steps; returns the rows to be written now. With `cut` all episodes have ended by themselves."""
        self._steps.extend(steps)
        keep = 0 if cut else HELD
        ready = []
        while len(self._steps) > keep:
            ready.append(self._steps.popleft())
        return ready

    def close(self) -> list[Step]:
        """The held steps, changed so that every episode ends with them; afterwards nothing is held.

        An episode of which only the first observation arrived is left out: it has no action.
        """
        lanes: dict[int, list[_Row]] = {}
        updates = self._steps[-1].updates if self._steps else 0
        for rows in (rows for step in self._steps for rows in step.rows):
            for i, stream in enumerate(rows.streams.tolist()):
                values = {name: column[i] for name, column in rows.values.items()}
                lanes.setdefault(stream, []).append(_Row(values, bool(rows.last[i]), rows.core[i]))
        self._steps.clear()
        for lane in lanes.values():
            _end(lane)
        return [Step([rows], updates) for rows in _grouped(lanes)]

    def state_dict(self) -> dict[str, Any]:
        """The held steps."""
        return {"steps": [[[vars(rows) for rows in step.rows], step.updates] for step in self._steps]}

    def load_state_dict(self, state: Any, check: Callable[[Rows], object]) -> None:
        """Load a state; `check` raises ValueError for rows that cannot be the actor's."""
        steps = Saved(state, "tail").listed("steps")
        self._steps = deque(Step([Rows(**rows) for rows in groups], updates) for groups, updates in steps)
        for groups, updates in steps:
            check_count("tail.steps", updates, least=0)
            if not isinstance(groups, list):
                raise ValueError(f"tail.steps must hold lists of rows, got {type(groups).__name__}")
        for step in self._steps:
            for rows in step.rows:
                check(rows)


def _end(lane: list[_Row]) -> None:
    """Make the last row of one stream the final one of its episode, or drop it if it is the first."""
    if lane[-1].last:
        return
    if len(lane) == 1 or lane[-2].last:
        lane.pop()
        return
    final, before = lane[-1], lane[-2]
    none = {name: np.zeros_like(final.values[name]) for name in _ACTED if name in final.values}
    lane[-1] = _Row(final.values | none, True, final.core)
    truncated = np.bool_(not before.values["terminated"])
    lane[-2] = _Row(before.values | {"truncated": truncated}, False, before.core)


_ACTED = ("action", "reward", "terminated", "truncated")  # zero in the row of a final observation


def _grouped(lanes: dict[int, list[_Row]]) -> list[Rows]:
    """The streams' rows grouped by position: all first ones, all second ones, and so on."""
    groups = []
    for depth in range(max((len(lane) for lane in lanes.values()), default=0)):
        chosen = [(stream, lane[depth]) for stream, lane in sorted(lanes.items()) if len(lane) > depth]
        rows = [row for _, row in chosen]
        groups.append(
            Rows(
                {name: np.stack([row.values[name] for row in rows]) for name in rows[0].values},
                np.array([row.last for row in rows]),
                np.stack([row.core for row in rows]),
                np.array([stream for stream, _ in chosen], np.int64),
            )
        )
    return groups
