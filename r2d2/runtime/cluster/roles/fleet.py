"""Fleet: how the conductor reaches the processes of a run."""

from __future__ import annotations

from typing import Any, Protocol


class Fleet(Protocol):
    """The processes: `actor`, `shard`, `learner` and `evaluator`, each with an index."""

    def call(self, kind: str, index: int, method: str, *arguments: Any) -> Any:
        """Ask for a method's result; returns a ticket, which may be an argument of another call."""

    def wait(self, timeout: float) -> list[tuple[Any, Any]]:
        """Tickets that have come with their results: Lost where the process was, Failed where the method raised."""

    def pid(self, kind: str, index: int) -> int:
        """The number of a process on its machine."""

    def close(self) -> None:
        """End all processes."""
