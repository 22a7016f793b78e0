"""Meter: means and counts between two log lines, exact across a resume."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from r2d2.tracking.names import modernize


class Meter:
    """Collects numbers; `take` returns means of what was added and totals of what was counted, and clears."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._adds = 0
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, float]) -> None:
        """One sample of each of several means; every call brings the same names."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._adds += 1

    def count(self, name: str, n: int) -> None:
        """Add n to a total."""
        self._counts[name] = self._counts.get(name, 0) + n

    def take(self) -> dict[str, float]:
        taken = {name: total / self._adds for name, total in self._sums.items()} | self._counts
        self._sums, self._adds, self._counts = {}, 0, {}
        return taken

    def state_dict(self) -> dict[str, Any]:
        return {"sums": dict(self._sums), "adds": self._adds, "counts": dict(self._counts)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._sums, self._adds = modernize(state["sums"]), state["adds"]
        self._counts = modernize(state["counts"])
