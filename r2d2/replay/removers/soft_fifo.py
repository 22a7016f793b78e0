"""SoftFifo: inserts are never held up, the surplus goes now and then, oldest first (Ape-X)."""

from __future__ import annotations

from typing import Any

from r2d2.replay.checks import check_count
from r2d2.replay.removers.fifo import Fifo
from r2d2.replay.removers.remover import Places
from r2d2.replay.saved import Saved


class SoftFifo:
    """May hold more than `soft` items; every `period` updates the oldest leave until `soft` are held.

    100 updates as in Horgan et al. (2018, appendix), whose memory has no upper bound at all. Here the places
    of the replay, `capacity`, are one: newcomers that find none make the oldest leave at once. An update is
    one call of the replay's `update_priorities`.
    """

    def __init__(self, capacity: int, soft: int, *, period: int = 100) -> None:
        self.capacity = check_count("capacity", capacity)
        if not 1 <= check_count("soft", soft, least=-capacity) <= capacity:
            raise ValueError(f"soft must be in [1, capacity={capacity}] items, got {soft}")
        self.soft, self.period = soft, check_count("period", period, "update")
        self._fifo = Fifo(capacity)
        self._count = 0  # items held
        self._updates = 0

    @property
    def nbytes(self) -> int:
        return self._fifo.nbytes

    def offer(self, n: int, free: int) -> tuple[None, Places]:
        return None, self.pop(n - free)

    def grow(self, capacity: int) -> None:
        """`soft` stays as it is: a number of items."""
        self._fifo.grow(capacity)
        self.capacity = capacity

    def insert(self, places: Places) -> None:
        self._fifo.insert(places)
        self._count += len(places)

    def pop(self, n: int) -> Places:
        leaving = self._fifo.pop(max(0, n))
        self._count -= len(leaving)
        return leaving

    def updated(self, count: int) -> Places:
        self._updates += 1
        return self.pop(self._count - self.soft if self._updates % self.period == 0 else 0)

    def state_dict(self) -> dict[str, Any]:
        return {"fifo": self._fifo.state_dict(), "count": self._count, "updates": self._updates}

    def check_state(self, saved: Saved, items: Places | None = None) -> None:
        self._fifo.check_state(saved.part("fifo"), items)
        count = saved.count("count", most=self.capacity)
        if count != len(saved.part("fifo")["places"]):
            raise saved.refuse("count", f"must be the number of items held, got {count}")
        saved.count("updates")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.check_state(Saved(state, "remover"))
        self._fifo.load_state_dict(state["fifo"])
        self._count, self._updates = state["count"], state["updates"]
