"""cpprb: whole sequences as single items, since it has no sequences (frames are stored three times)."""

from __future__ import annotations

from typing import Any

import numpy as np
from cpprb import PrioritizedReplayBuffer, ReplayBuffer
from numpy.typing import NDArray

from experiments.bench.frames import Feed
from experiments.bench.sizes import Sizes

PACKAGES = ("cpprb",)


class CpprbSequences:
    """One item is one sequence; an insert adds the sequence that ends a period of every stream."""

    thread_safe = False

    def __init__(self, sizes: Sizes, shape: tuple[int, ...], held: int) -> None:
        self.chunk, self.frames, self._batch = sizes.period, sizes.rows, sizes.batch
        env_dict = {
            "observation": {"shape": (sizes.rows, *shape), "dtype": np.uint8},
            "action": {"shape": (sizes.rows,), "dtype": np.int16},
            "reward": {"shape": (sizes.rows,), "dtype": np.float32},
            "terminated": {"shape": (sizes.rows,), "dtype": np.bool_},
            "core": {"shape": (sizes.core,), "dtype": np.float32},
        }
        self._replay = PrioritizedReplayBuffer(held // sizes.period, env_dict, alpha=0.9)
        rng = np.random.default_rng(0)
        self._core = rng.standard_normal((sizes.streams, sizes.core), np.float32)
        self._priorities = rng.lognormal(size=sizes.batch)
        self._indexes: Any = None

    def prepare(self, feed: Feed, t: int) -> Any:
        return feed.window(t, self.frames)

    def insert(self, prepared: Any) -> None:
        self._replay.add(**prepared, core=self._core)

    def sample(self) -> Any:
        sample = self._replay.sample(self._batch, 0.6)
        self._indexes = sample["indexes"]
        return sample["observation"]

    def update(self) -> None:
        self._replay.update_priorities(self._indexes, self._priorities)


class CpprbTransitions:
    """`next_obs` is stored apart, since 64 environments are added at once."""

    def __init__(self, capacity: int, prioritized: bool) -> None:
        env_dict: dict[str, Any] = {
            "obs": {"shape": 4},
            "next_obs": {"shape": 4},
            "action": {"dtype": np.int16},
            "reward": {},
            "terminated": {"dtype": np.bool_},
        }
        if prioritized:
            self._replay = PrioritizedReplayBuffer(capacity, env_dict, alpha=0.6)
        else:
            self._replay = ReplayBuffer(capacity, env_dict)
        self._prioritized = prioritized
        self._rng = np.random.default_rng(0)
        self._indexes: dict[int, Any] = {}

    def add(self, values: dict[str, NDArray]) -> None:
        self._replay.add(**values)

    def sample(self, n: int) -> Any:
        if not self._prioritized:
            return self._replay.sample(n)
        sample = self._replay.sample(n, 0.4)
        self._indexes[n] = sample["indexes"]
        return sample

    def update(self, n: int) -> None:
        self._replay.update_priorities(self._indexes[n], self._rng.random(n) + 0.1)


class CpprbTree:
    """The tree is only accessible through `sample` (with weights and one small column)."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._replay = PrioritizedReplayBuffer(
            len(values), {"x": {"shape": 1, "dtype": np.int8}}, alpha=1.0, eps=0.0
        )
        self._replay.add(x=np.zeros((len(values), 1), np.int8), priorities=values)

    def draw(self, n: int) -> NDArray:
        indexes: NDArray = self._replay.sample(n, 0.4)["indexes"]
        return indexes

    def assign(self, leaves: NDArray, values: NDArray) -> None:
        self._replay.update_priorities(leaves, values)


def sequences(sizes: Sizes, variant: str, shape: tuple[int, ...], held: int) -> CpprbSequences:
    return CpprbSequences(sizes, shape, held)


def transitions(capacity: int, streams: int, prioritized: bool) -> CpprbTransitions:
    return CpprbTransitions(capacity, prioritized)


def tree(values: NDArray[np.float64]) -> CpprbTree:
    return CpprbTree(values)
