"""RLlib: its prioritized buffer with the storage unit that its R2D2 used, and with single timesteps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.execution.segment_tree import SumSegmentTree
from ray.rllib.policy.sample_batch import SampleBatch
from ray.rllib.utils.replay_buffers import PrioritizedReplayBuffer, ReplayBuffer

from experiments.bench.frames import Feed
from experiments.bench.sizes import Sizes

PACKAGES = ("ray", "torch")
LACKS = {"rare": "its tree is pure Python: 60 million draws would take an hour; it is float64 and exact"}


class RllibSequences:
    """It keeps views of the given arrays, so each insert needs new ones (not timed)."""

    thread_safe = False

    def __init__(self, sizes: Sizes, shape: tuple[int, ...], held: int) -> None:
        self.chunk, self.frames, self._batch = sizes.period, sizes.rows, sizes.batch
        items = max(held // sizes.period, sizes.streams)
        self._replay = PrioritizedReplayBuffer(items * sizes.rows, "sequences", alpha=0.9)
        self._lengths = np.full(sizes.streams, sizes.rows)
        rng = np.random.default_rng(0)
        self._core = rng.standard_normal((sizes.streams, sizes.core), np.float32)
        self._priorities = rng.lognormal(size=sizes.batch)
        self._indexes: Any = None

    def prepare(self, feed: Feed, t: int) -> Any:
        window = feed.window(t, self.frames)
        flat = {name: column.reshape(-1, *column.shape[2:]) for name, column in window.items()}
        return SampleBatch(
            {
                SampleBatch.OBS: flat["observation"],
                SampleBatch.ACTIONS: flat["action"],
                SampleBatch.REWARDS: flat["reward"],
                SampleBatch.TERMINATEDS: flat["terminated"],
                "state_in_0": self._core,
                SampleBatch.SEQ_LENS: self._lengths,
            }
        )

    def insert(self, prepared: Any) -> None:
        self._replay.add(prepared)

    def sample(self) -> Any:
        sample = self._replay.sample(self._batch, beta=0.6)
        self._indexes = sample["batch_indexes"][:: self.frames]
        return sample[SampleBatch.OBS]

    def update(self) -> None:
        self._replay.update_priorities(self._indexes, self._priorities)


class RllibTransitions:
    """Single timesteps, each a small batch object of its own."""

    def __init__(self, capacity: int, prioritized: bool) -> None:
        kind = PrioritizedReplayBuffer if prioritized else ReplayBuffer
        self._replay = kind(capacity, "timesteps", **({"alpha": 0.6} if prioritized else {}))
        self._prioritized = prioritized
        self._rng = np.random.default_rng(0)
        self._indexes: dict[int, Any] = {}

    def add(self, values: dict[str, NDArray]) -> None:
        self._replay.add(
            SampleBatch(
                {
                    SampleBatch.OBS: values["obs"],
                    SampleBatch.NEXT_OBS: values["next_obs"],
                    SampleBatch.ACTIONS: values["action"],
                    SampleBatch.REWARDS: values["reward"],
                    SampleBatch.TERMINATEDS: values["terminated"],
                }
            )
        )

    def sample(self, n: int) -> Any:
        if not self._prioritized:
            return self._replay.sample(n)
        sample = self._replay.sample(n, beta=0.4)
        self._indexes[n] = sample["batch_indexes"]
        return sample

    def update(self, n: int) -> None:
        self._replay.update_priorities(self._indexes[n], self._rng.random(n) + 0.1)


class RllibTree:
    """A list of Python floats, one leaf at a time."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._tree = SumSegmentTree(1 << (len(values) - 1).bit_length())
        for leaf, value in enumerate(values.tolist()):
            self._tree[leaf] = value
        self._rng = np.random.default_rng(0)

    def draw(self, n: int) -> NDArray:
        targets = (self._rng.random(n) * self._tree.sum()).tolist()
        return np.array([self._tree.find_prefixsum_idx(target) for target in targets])

    def assign(self, leaves: NDArray, values: NDArray) -> None:
        for leaf, value in zip(leaves.tolist(), values.tolist(), strict=True):
            self._tree[leaf] = value


def sequences(sizes: Sizes, variant: str, shape: tuple[int, ...], held: int) -> RllibSequences:
    return RllibSequences(sizes, shape, held)


def transitions(capacity: int, streams: int, prioritized: bool) -> RllibTransitions:
    return RllibTransitions(capacity, prioritized)


def tree(values: NDArray[np.float64]) -> RllibTree:
    return RllibTree(values)
