"""The interfaces that the benchmark needs from a library, and the module of each adapter.

An adapter module may define `sequences`, `transitions` and `tree` (constructors), `PACKAGES` whose versions
are recorded, and `LACKS`, the reasons why it cannot run some parts. It is imported in a process of its own.
"""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from experiments.bench.frames import Feed

OURS = "ours"
SUBJECTS = {
    OURS: "experiments.bench.ours",
    "cpprb": "experiments.bench.rivals.cpprb_rival",
    "rllib": "experiments.bench.rivals.rllib_rival",
    "flashbax": "experiments.bench.rivals.flashbax_rival",
    "torchrl": "experiments.bench.rivals.torchrl_rival",
    "tianshou": "experiments.bench.rivals.tianshou_rival",
    "sb3": "experiments.bench.rivals.sb3_rival",
    "reverb": "experiments.bench.rivals.reverb_rival",
}
RIVALS = tuple(name for name in SUBJECTS if name != OURS)


class Sequences(Protocol):
    """A prioritized replay of overlapping sequences of N streams."""

    chunk: int  # steps of every stream that one insert adds
    frames: int  # frames in one sampled sequence
    thread_safe: bool  # whether a writer and a reader may call it without a lock

    def prepare(self, feed: Feed, t: int) -> Any:
        """The caller's side of an insert, not timed: the data for steps t .. t + chunk - 1."""

    def insert(self, prepared: Any) -> None:
        """Store it."""

    def sample(self) -> Any:
        """Draw a batch with importance weights and return its observations, complete in memory."""

    def update(self) -> None:
        """Send new priorities for the batch drawn last."""


class Transitions(Protocol):
    """A replay of single transitions with small observations."""

    def add(self, values: dict[str, NDArray]) -> None:
        """Store K transitions: obs, next_obs [K, 4], action, reward, terminated [K]."""

    def sample(self, n: int) -> Any:
        """Draw n of them, with importance weights where the replay is prioritized."""

    def update(self, n: int) -> None:
        """Send priorities for the n drawn last with that n."""


class Tree(Protocol):
    """The structure that draws items, by itself."""

    def draw(self, n: int) -> NDArray:
        """n leaves, in proportion to their values."""

    def assign(self, leaves: NDArray, values: NDArray) -> None:
        """New values."""
