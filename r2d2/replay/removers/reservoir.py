"""Reservoir: a uniform sample of everything that was ever offered (Vitter 1985, algorithm R)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.checks import check_count, check_rng
from r2d2.replay.removers.remover import NONE, Places
from r2d2.replay.rows import extended
from r2d2.replay.saved import Saved


class Reservoir:
    """At any time each of the `seen` items offered so far is held with the same probability, held / seen.

    While everything seen is held and there is room (at most `capacity` items), a newcomer is accepted. After
    that, newcomer number i replaces the item with index j, drawn from 1..i, if there is one, and is refused
    otherwise; a newcomer may be replaced by a later one of the same call.

    Items that leave because storage is full are drawn uniformly, so a smaller uniform sample remains. It does
    not grow again, since those that left cannot come back to take their share. An emptied reservoir starts
    afresh: it is then a sample of what is offered from there on.
    """

    def __init__(self, capacity: int, rng: np.random.Generator) -> None:
        capacity, rng = check_count("capacity", capacity), check_rng(rng)
        self.seen = 0  # items offered since it was last empty
        self._rng = rng
        self._held = np.empty(capacity, np.int64)  # the place of each item held
        self._count = 0
        self._reserved = NONE  # indices of the newcomers accepted but not inserted yet

    @property
    def nbytes(self) -> int:
        return self._held.nbytes

    def offer(self, n: int, free: int) -> tuple[NDArray[np.bool_], Places]:
        """Newcomers accepted [n], and the items that leave for them."""
        count = self._count
        room = min(free, len(self._held) - count) if count == self.seen else 0
        grown = min(n, room)
        occupant = {count + k: k for k in range(grown)}  # index -> its newcomer
        numbers = np.arange(self.seen + grown + 1, self.seen + n + 1)
        drawn = self._rng.integers(numbers)  # j - 1 for each newcomer, from 0..i - 1
        for k in np.flatnonzero(drawn < count + grown).tolist():
            occupant[int(drawn[k])] = grown + k
        newcomers = np.array(sorted((k, at) for at, k in occupant.items()), np.int64).reshape(-1, 2)
        self._reserved = newcomers[:, 1]
        self.seen += n
        self._count += grown
        accepted = np.zeros(n, np.bool_)
        accepted[newcomers[:, 0]] = True
        return accepted, self._held[self._reserved[self._reserved < count]]

    def grow(self, capacity: int) -> None:
        self._held = extended(self._held, capacity, 0)

    def insert(self, places: Places) -> None:
        self._held[self._reserved] = places
        self._reserved = NONE

    def pop(self, n: int) -> Places:
        """Up to n items, drawn uniformly."""
        kept = self._count - min(n, self._count)
        chosen = self._rng.choice(self._count, self._count - kept, replace=False)
        leaving = self._held[chosen]
        stays = np.ones(self._count, np.bool_)
        stays[chosen] = False
        self._held[:kept] = self._held[: self._count][stays]
        self._count = kept
        if kept == 0:
            self.seen = 0
        return leaving

    def updated(self, count: int) -> Places:
        return NONE

    def state_dict(self) -> dict[str, Any]:
        return {
            "held": self._held[: self._count].copy(),
            "seen": self.seen,
            "rng": self._rng.bit_generator.state,
        }

    def check_state(self, saved: Saved, items: Places | None = None) -> None:
        held = saved.held("held", items)
        if len(held) > len(self._held):
            raise saved.refuse("held", f"must have at most {len(self._held)} items, got {len(held)}")
        saved.count("seen", least=len(held))
        saved.generator("rng", self._rng)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.check_state(Saved(state, "remover"))
        self._count = len(state["held"])
        self._held[: self._count] = state["held"]
        self.seen = state["seen"]
        self._rng.bit_generator.state = state["rng"]
