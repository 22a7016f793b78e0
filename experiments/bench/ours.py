"""Our own replay under test."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.bench.frames import Feed
from experiments.bench.sizes import Sizes
from r2d2.replay import Column, Fifo, Proportional, Replay, Selector, Sequencer, Uniform
from r2d2.replay.selectors.sum_tree import SumTree
from r2d2.runtime.fair_lock import FairLock
from r2d2.types import Batch, Codec

PACKAGES = ("numba", "cramjam", "zstandard")
BETA = 0.6  # R2D2, table 2
ALPHA = 0.9  # R2D2, table 2


def build(sizes: Sizes, codec: Codec, shape: tuple[int, ...], *, streams: int, held: int) -> Replay:
    """A replay of the shape that R2D2 uses, for `held` steps of observations of `shape`."""
    columns = {
        "observation": Column(shape, "uint8", codec),
        "action": Column((), "int16"),
        "reward": Column((), "float32"),
        "terminated": Column((), "bool"),
    }
    sequencer = Sequencer(
        streams, burn_in=sizes.burn_in, unroll=sizes.unroll, n_step=sizes.n_step, period=sizes.period,
        core_size=sizes.core,
    )  # fmt: skip
    capacity = max(held // sizes.period, streams * sequencer.items_at_once)
    return Replay(
        columns, streams=streams, sequencer=sequencer, selector=Proportional(capacity, alpha=ALPHA),
        remover=Fifo(capacity), capacity=capacity, steps=held, core_size=sizes.core,
    )  # fmt: skip


class OurSequences:
    """Prioritized sequences; one insert is one step of all streams."""

    chunk = 1
    thread_safe = True  # it locks itself, as `runtime/threads.py` does

    def __init__(self, sizes: Sizes, codec: Codec, shape: tuple[int, ...], held: int) -> None:
        self.replay = build(sizes, codec, shape, streams=sizes.streams, held=held)
        self.frames = sizes.rows
        self._rng = np.random.default_rng(0)
        self._core = self._rng.standard_normal((sizes.streams, sizes.core), np.float32)
        self._priorities = self._rng.lognormal(size=sizes.batch)
        self._n = sizes.batch
        self._batch: Batch | None = None
        self._turns = FairLock()

    def prepare(self, feed: Feed, t: int) -> Any:
        return feed.row(t), feed.last[t % len(feed.last)]

    def insert(self, prepared: Any) -> None:
        values, last = prepared
        with self._turns:
            self.replay.write(values, last, core=self._core)

    def sample(self) -> Any:
        with self._turns:
            draw = self.replay.draw(self._n, self._rng, beta=BETA, out=self._batch)
        self._batch = draw.result()
        return self._batch.columns["observation"]

    def update(self) -> None:
        assert self._batch is not None
        with self._turns:
            self.replay.update_priorities(self._batch.ids, self._priorities)


class OurTransitions:
    """Sequences of one trained step and one row after it, of 64 streams."""

    def __init__(self, capacity: int, *, streams: int, prioritized: bool) -> None:
        columns = {
            "obs": Column((4,)),
            "action": Column((), "int16"),
            "reward": Column(),
            "terminated": Column((), "bool"),
        }
        sequencer = Sequencer(streams, burn_in=0, unroll=1, n_step=1, period=1)
        selector: Selector = Proportional(capacity, alpha=0.6) if prioritized else Uniform(capacity)
        self.replay = Replay(
            columns, streams=streams, sequencer=sequencer, selector=selector, remover=Fifo(capacity),
            capacity=capacity, steps=capacity + capacity // 20 + 8 * streams,
        )  # fmt: skip
        self._rng = np.random.default_rng(0)
        self._ended = np.zeros(streams, np.bool_)
        self._batches: dict[int, Batch] = {}
        self._beta = 0.4 if prioritized else 0.0

    def add(self, values: dict[str, NDArray]) -> None:
        """The row after a terminated one holds only the final observation, as written by an actor."""
        last = self._ended
        self._ended = values["terminated"] & ~last
        self.replay.write({name: values[name] for name in self.replay.columns}, last)

    def sample(self, n: int) -> Any:
        self._batches[n] = self.replay.sample(n, self._rng, beta=self._beta, out=self._batches.get(n))
        return self._batches[n]

    def update(self, n: int) -> None:
        self.replay.update_priorities(self._batches[n].ids, self._rng.random(n) + 0.1)


class OurTree:
    """The float64 tree under `Proportional`, with independent draws."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._tree = SumTree(len(values))
        self._tree.load_values(values)
        self._rng = np.random.default_rng(0)

    def draw(self, n: int) -> NDArray:
        return self._tree.find(self._rng.random(n) * self._tree.total)

    def assign(self, leaves: NDArray, values: NDArray) -> None:
        self._tree.assign(leaves, values)


def sequences(sizes: Sizes, variant: str, shape: tuple[int, ...], held: int) -> OurSequences:
    codecs: dict[str, Codec] = {"": "raw", "raw": "raw", "lz4": "lz4", "zstd": "zstd"}
    return OurSequences(sizes, codecs[variant], shape, held)


def transitions(capacity: int, streams: int, prioritized: bool) -> OurTransitions:
    return OurTransitions(capacity, streams=streams, prioritized=prioritized)


def tree(values: NDArray[np.float64]) -> OurTree:
    return OurTree(values)
