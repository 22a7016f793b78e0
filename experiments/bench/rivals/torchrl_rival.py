"""TorchRL: `Sequence` windows around prioritized anchors, in a storage of [time, environment].

Its published C++ extension is built for another torch than the one often installed. Only its autograd functions
fail to link; with lazy binding its trees (all that a replay needs) work.
"""

from __future__ import annotations

from typing import Any

import experiments.bench.rivals.lazy_binding  # noqa: F401

# isort: split
import numpy as np
import torch
from numpy.typing import NDArray
from tensordict import TensorDict
from torchrl.data import LazyTensorStorage, Sequence, TensorDictReplayBuffer
from torchrl.data.replay_buffers.samplers import PrioritizedSampler, RandomSampler, SumSegmentTreeFp32

from experiments.bench.frames import Feed
from experiments.bench.sizes import Sizes

PACKAGES = ("torchrl", "tensordict", "torch")


class TorchrlSequences:
    """Windows are padded at the ends of episodes; any step can be an anchor, there is no period."""

    thread_safe = False

    def __init__(self, sizes: Sizes, shape: tuple[int, ...], held: int) -> None:
        self.chunk, self.frames, self._streams = sizes.period, sizes.rows, sizes.streams
        capacity = -(-held // (sizes.streams * sizes.period)) * sizes.period * sizes.streams
        self._replay = TensorDictReplayBuffer(
            storage=LazyTensorStorage(capacity, ndim=2),
            sampler=PrioritizedSampler(capacity, alpha=0.9, beta=0.6),
            sample_unit=Sequence(sizes.unroll, burn_in=sizes.burn_in, bootstrap=sizes.n_step),
            batch_size=sizes.batch,
            dim_extend=0,
        )
        self._batch, self._info = sizes.batch, {}  # type: int, dict[str, Any]
        self._priorities = torch.from_numpy(np.random.default_rng(0).lognormal(size=sizes.batch)).float()

    def prepare(self, feed: Feed, t: int) -> Any:
        """[time, environment, ...], as from a collector."""
        k = (t + np.arange(self.chunk)) % len(feed.frames)
        done = torch.from_numpy(feed.terminated[k])[..., None]
        return TensorDict(
            {
                "observation": torch.from_numpy(feed.frames[k]),
                "action": torch.from_numpy(feed.action[k]),
                "next": {"reward": torch.from_numpy(feed.reward[k])[..., None], "done": done},
            },
            batch_size=[self.chunk, self._streams],
        )

    def insert(self, prepared: Any) -> None:
        self._replay.extend(prepared)

    def sample(self) -> Any:
        sample, self._info = self._replay.sample(return_info=True)
        return sample["observation"]

    def update(self) -> None:
        anchors = self._info["anchor_index"].reshape(self._batch, self.frames, -1)[:, 0]
        self._replay.update_priority(anchors, self._priorities)


class TorchrlTransitions:
    """One flat storage; a batch is a TensorDict."""

    def __init__(self, capacity: int, streams: int, prioritized: bool) -> None:
        sampler = PrioritizedSampler(capacity, alpha=0.6, beta=0.4) if prioritized else RandomSampler()
        self._replay = TensorDictReplayBuffer(storage=LazyTensorStorage(capacity), sampler=sampler)
        self._rng = np.random.default_rng(0)
        self._index: dict[int, Any] = {}

    def add(self, values: dict[str, NDArray]) -> None:
        tensors = {name: torch.from_numpy(value) for name, value in values.items()}
        self._replay.extend(
            TensorDict(
                {
                    "observation": tensors["obs"],
                    "action": tensors["action"],
                    "next": {
                        "observation": tensors["next_obs"],
                        "reward": tensors["reward"],
                        "done": tensors["terminated"],
                    },
                },
                batch_size=[len(values["obs"])],
            )
        )

    def sample(self, n: int) -> Any:
        batch = self._replay.sample(n)
        self._index[n] = batch["index"]
        return batch

    def update(self, n: int) -> None:
        self._replay.update_priority(self._index[n], torch.from_numpy(self._rng.random(n) + 0.1).float())


class TorchrlTree:
    """The float32 tree that its sampler takes by default."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._tree = SumSegmentTreeFp32(len(values))
        self._tree[torch.arange(len(values))] = torch.from_numpy(values).float()
        self._size = len(values)

    def draw(self, n: int) -> NDArray:
        mass = torch.rand(n) * self._tree.query(0, self._size)
        leaves: NDArray = self._tree.scan_lower_bound(mass).clamp_(max=self._size - 1).numpy()
        return leaves

    def assign(self, leaves: NDArray, values: NDArray) -> None:
        self._tree[torch.from_numpy(leaves)] = torch.from_numpy(values).float()


def sequences(sizes: Sizes, variant: str, shape: tuple[int, ...], held: int) -> TorchrlSequences:
    return TorchrlSequences(sizes, shape, held)


def transitions(capacity: int, streams: int, prioritized: bool) -> TorchrlTransitions:
    return TorchrlTransitions(capacity, streams, prioritized)


def tree(values: NDArray[np.float64]) -> TorchrlTree:
    return TorchrlTree(values)
