"""Updating: how items of a replay get new priorities and recurrent states."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.checks import as_priorities, check_core, check_ids, check_priorities
from r2d2.replay.held import Held
from r2d2.replay.kernels import calls
from r2d2.replay.selectors.proportional import Proportional

Ints = NDArray[np.int64]


class Updater:
    """Changes items of `held`; priorities in one compiled call where the selector allows it (`Frame.draws`)."""

    def __init__(self, held: Held) -> None:
        self.items, self.storage, self.selector, self.held = held.items, held.storage, held.selector, held
        self._frame = held.frame

    def update(self, ids: Any, priorities: Any, *, initial: bool) -> int:
        """See `Replay.update_priorities`; returns how many of the items were removed since."""
        if self._frame.draws:
            count, late = self._update(*as_priorities(ids, priorities))
        else:
            places, held, priorities = self._locate(ids, priorities)
            self.selector.update(places[held], priorities[held])
            count = int(np.count_nonzero(held))
            late = len(held) - count
        if not initial:
            self.held.remove(self.held.remover.updated(count))
        return late

    def _update(self, ids: Ints, priorities: NDArray[np.float64]) -> tuple[int, int]:
        """The compiled call; returns how many of the items are held, and how many are not."""
        selector, add, exponent = self.selector, 0.0, 1.0
        if isinstance(selector, Proportional):
            add, exponent = selector.epsilon, selector.alpha
        late, highest = calls.update(self._frame.address, ids, priorities, add, exponent)
        if late < 0:
            self._locate(ids, priorities)
            raise AssertionError("update refused priorities that are right")
        if highest >= 0.0 and isinstance(selector, Proportional):
            selector.note(highest)
        return len(ids) - late, late

    def _locate(self, ids: Any, priorities: Any) -> tuple[Ints, NDArray[np.bool_], NDArray[np.float64]]:
        """Where the items are, which are still held, and their priorities; or the ValueError that they raise."""
        ids, priorities = check_priorities(ids, priorities)
        return *self.items.locate(ids), priorities

    def refresh(self, ids: Any, core: Any) -> None:
        """See `Replay.refresh`."""
        self.storage.check_process()
        places, held, core = self.locate_states(ids, core)
        self.items.core[places[held]] = core[held]

    def locate_states(self, ids: Any, core: Any) -> tuple[Ints, NDArray[np.bool_], NDArray[np.float32]]:
        """See `Replay.locate_states`."""
        ids = check_ids("ids", ids)
        core = check_core(core, (len(ids), self.items.core.shape[1]))
        return *self.items.locate_states(ids, core), core
