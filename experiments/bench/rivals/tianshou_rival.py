"""tianshou: single steps of many environments; a sequence is a frame stack as long as the sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tianshou.data import Batch, PrioritizedVectorReplayBuffer, SegmentTree, VectorReplayBuffer

from experiments.bench.frames import Feed
from experiments.bench.sizes import Sizes

PACKAGES = ("tianshou", "torch")


class TianshouSequences:
    """Draw last steps by priority and `get` the observations stacked backwards from them.

    `stack_num` itself would also stack the steps after each of them, twice the work.
    """

    chunk = 1
    thread_safe = False

    def __init__(self, sizes: Sizes, shape: tuple[int, ...], held: int) -> None:
        self.frames, self._batch = sizes.rows, sizes.batch
        self._replay = PrioritizedVectorReplayBuffer(
            held, sizes.streams, alpha=0.9, beta=0.6, ignore_obs_next=True
        )
        self._priorities = np.random.default_rng(0).lognormal(size=sizes.batch)
        self._none = np.zeros(sizes.streams, np.bool_)
        self._indexes: Any = None

    def prepare(self, feed: Feed, t: int) -> Any:
        row = feed.row(t)
        return Batch(
            obs=row["observation"],
            act=row["action"],
            rew=row["reward"],
            terminated=row["terminated"],
            truncated=self._none,
        )

    def insert(self, prepared: Any) -> None:
        self._replay.add(prepared)

    def sample(self) -> Any:
        self._indexes = self._replay.sample_indices(self._batch)
        self._replay.get_weight(self._indexes)
        return self._replay.get(self._indexes, "obs", stack_num=self.frames)

    def update(self) -> None:
        self._replay.update_weight(self._indexes, self._priorities)


class TianshouTransitions:
    """With `obs_next` rebuilt from the next step, as its documentation advises."""

    def __init__(self, capacity: int, streams: int, prioritized: bool) -> None:
        options = {"ignore_obs_next": True}
        self._replay: Any = (
            PrioritizedVectorReplayBuffer(capacity, streams, alpha=0.6, beta=0.4, **options)
            if prioritized
            else VectorReplayBuffer(capacity, streams, **options)
        )
        self._rng = np.random.default_rng(0)
        self._none = np.zeros(streams, np.bool_)
        self._indexes: dict[int, Any] = {}

    def add(self, values: dict[str, NDArray]) -> None:
        self._replay.add(
            Batch(
                obs=values["obs"],
                act=values["action"],
                rew=values["reward"],
                terminated=values["terminated"],
                truncated=self._none,
            )
        )

    def sample(self, n: int) -> Any:
        batch, self._indexes[n] = self._replay.sample(n)
        return batch

    def update(self, n: int) -> None:
        self._replay.update_weight(self._indexes[n], self._rng.random(n) + 0.1)


class TianshouTree:
    """Its numba tree in float64."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._tree = SegmentTree(len(values))
        self._tree[np.arange(len(values))] = values
        self._rng = np.random.default_rng(0)

    def draw(self, n: int) -> NDArray:
        leaves: NDArray = self._tree.get_prefix_sum_idx(self._rng.random(n) * self._tree.reduce())
        return leaves

    def assign(self, leaves: NDArray, values: NDArray) -> None:
        self._tree[leaves] = values


def sequences(sizes: Sizes, variant: str, shape: tuple[int, ...], held: int) -> TianshouSequences:
    return TianshouSequences(sizes, shape, held)


def transitions(capacity: int, streams: int, prioritized: bool) -> TianshouTransitions:
    return TianshouTransitions(capacity, streams, prioritized)


def tree(values: NDArray[np.float64]) -> TianshouTree:
    return TianshouTree(values)
