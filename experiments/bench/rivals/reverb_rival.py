"""Reverb: a server in this process, trajectory writers, and `TrajectoryDataset`, as documented.

It needs TensorFlow 2.15 and numpy 1, so it runs in an interpreter of its own (`--python reverb=PATH`).
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import reverb
import tensorflow as tf
from numpy.typing import NDArray

from experiments.bench.frames import Feed
from experiments.bench.sizes import Sizes

PACKAGES = ("dm-reverb", "tensorflow")
LACKS = dict.fromkeys(("tree", "rare"), "its sum tree lives inside the server")
TABLE = "replay"


def _server(capacity: int, signature: Any, prioritized: bool) -> Any:
    """A table that can always be sampled; the port is free and local."""
    selector = reverb.selectors.Prioritized(0.9) if prioritized else reverb.selectors.Uniform()
    table = reverb.Table(
        TABLE,
        sampler=selector,
        remover=reverb.selectors.Fifo(),
        max_size=capacity,
        rate_limiter=reverb.rate_limiters.MinSize(1),
        signature=signature,
    )
    return reverb.Server([table])


def _spec(shape: tuple[int, ...], dtype: Any) -> Any:
    return tf.TensorSpec(shape, dtype)


class _Table:
    """Server, client and a dataset of whole batches.

    Its workers prefetch, so the time of a sample is less than its cost; `in_flight` is twice the batch, the
    documentation's rule of thumb.
    """

    def __init__(self, capacity: int, signature: Any, prioritized: bool) -> None:
        self.server = _server(capacity, signature, prioritized)
        self.address = f"localhost:{self.server.port}"
        self.client = reverb.Client(self.address)
        self._iterators: dict[int, Any] = {}
        self._keys: dict[int, Any] = {}

    def sample(self, n: int) -> Any:
        if n not in self._iterators:
            dataset = reverb.TrajectoryDataset.from_table_signature(
                self.address, TABLE, max_in_flight_samples_per_worker=2 * n
            )
            self._iterators[n] = iter(dataset.batch(n))
        sample = next(self._iterators[n])
        self._keys[n] = sample.info.key
        return sample.data

    def update(self, n: int, priorities: NDArray) -> None:
        keys = self._keys[n].numpy().tolist()
        self.client.mutate_priorities(TABLE, dict(zip(keys, priorities.tolist(), strict=True)))


class ReverbSequences:
    """One writer per stream; chunks of one period, shared by overlapping items; the state once per item."""

    chunk = 1
    thread_safe = True

    def __init__(self, sizes: Sizes, shape: tuple[int, ...], held: int) -> None:
        self.frames, self._period, self._n = sizes.rows, sizes.period, sizes.batch
        signature = {
            "observation": _spec((sizes.rows, *shape), tf.uint8),
            "action": _spec((sizes.rows,), tf.int16),
            "reward": _spec((sizes.rows,), tf.float32),
            "terminated": _spec((sizes.rows,), tf.bool),
            "core": _spec((sizes.core,), tf.float32),
        }
        self._table = _Table(max(held // sizes.period, sizes.streams), signature, True)
        self._writers = [
            self._table.client.trajectory_writer(num_keep_alive_refs=sizes.rows + sizes.period)
            for _ in range(sizes.streams)
        ]
        for writer in self._writers:
            for name in ("observation", "action", "reward", "terminated"):
                writer.configure(
                    (name,), num_keep_alive_refs=sizes.rows + sizes.period, max_chunk_length=sizes.period
                )
            writer.configure(("core",), num_keep_alive_refs=sizes.rows + sizes.period, max_chunk_length=1)
        rng = np.random.default_rng(0)
        self._core = rng.standard_normal((sizes.streams, sizes.core), np.float32)
        self._priorities = rng.lognormal(size=sizes.batch)
        self._steps = 0

    def prepare(self, feed: Feed, t: int) -> Any:
        return feed.row(t)

    def insert(self, prepared: Any) -> None:
        """The state is appended at the steps where an item starts, and left out at all others."""
        first = self._steps % self._period == 0
        self._steps += 1
        due = self._steps >= self.frames and (self._steps - self.frames) % self._period == 0
        for i, writer in enumerate(self._writers):
            step = {name: column[i] for name, column in prepared.items()}
            if first:
                step["core"] = self._core[i]
            writer.append(step)
            if due:
                history = writer.history
                item = {name: history[name][-self.frames :] for name in prepared}
                item["core"] = history["core"][-self.frames]
                writer.create_item(TABLE, 1.0, item)
            if self._steps % self._period == 0:
                writer.flush(block_until_num_items=2)

    def sample(self) -> Any:
        observation: NDArray = self._table.sample(self._n)["observation"].numpy()
        return observation

    def update(self) -> None:
        self._table.update(self._n, self._priorities)


class ReverbTransitions:
    """One writer for all; every transition is an item of its own with its next observation."""

    def __init__(self, capacity: int, prioritized: bool) -> None:
        signature = {
            "obs": _spec((4,), tf.float32),
            "next_obs": _spec((4,), tf.float32),
            "action": _spec((), tf.int16),
            "reward": _spec((), tf.float32),
            "terminated": _spec((), tf.bool),
        }
        self._table = _Table(capacity, signature, prioritized)
        self._writer = self._table.client.trajectory_writer(num_keep_alive_refs=1)
        self._rng = np.random.default_rng(0)

    def add(self, values: dict[str, NDArray]) -> None:
        for i in range(len(values["obs"])):
            self._writer.append({name: value[i] for name, value in values.items()})
            history = self._writer.history
            self._writer.create_item(TABLE, 1.0, {name: history[name][-1] for name in values})
        self._writer.flush(block_until_num_items=256)

    def sample(self, n: int) -> Any:
        return self._table.sample(n)

    def update(self, n: int) -> None:
        self._table.update(n, self._rng.random(n) + 0.1)


def sequences(sizes: Sizes, variant: str, shape: tuple[int, ...], held: int) -> ReverbSequences:
    return ReverbSequences(sizes, shape, held)


def transitions(capacity: int, streams: int, prioritized: bool) -> ReverbTransitions:
    return ReverbTransitions(capacity, prioritized)
