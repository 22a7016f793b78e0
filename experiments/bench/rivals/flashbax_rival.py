"""Flashbax on the CPU: its prioritized trajectory buffer with a period, jitted, with the state donated."""

from __future__ import annotations

from typing import Any

import flashbax
import jax
import jax.numpy as jnp
import numpy as np
from flashbax.buffers import sum_tree
from numpy.typing import NDArray

from experiments.bench.frames import Feed
from experiments.bench.sizes import Sizes

PACKAGES = ("flashbax", "jax", "jaxlib")


class _Buffer:
    """The functions of one buffer, compiled once, and its state. Every call blocks until it is done."""

    def __init__(self, buffer: Any, example: Any) -> None:
        self.state = buffer.init(example)
        self._add = jax.jit(buffer.add, donate_argnums=0)
        self._draws = {0: jax.jit(buffer.sample)}
        self._set = (
            jax.jit(buffer.set_priorities, donate_argnums=0) if hasattr(buffer, "set_priorities") else None
        )
        self._key = jax.random.PRNGKey(0)
        self._last: dict[int, Any] = {}

    def also(self, n: int, buffer: Any) -> None:
        """Also draw n items from the same state."""
        self._draws[n] = jax.jit(buffer.sample)

    def add(self, batch: Any) -> None:
        self.state = jax.block_until_ready(self._add(self.state, batch))

    def sample(self, n: int = 0) -> Any:
        self._key, key = jax.random.split(self._key)
        self._last[n] = jax.block_until_ready(self._draws[n](self.state, key))
        return self._last[n].experience

    def update(self, priorities: NDArray, n: int = 0) -> None:
        assert self._set is not None
        self.state = jax.block_until_ready(self._set(self.state, self._last[n].indices, priorities))


class FlashbaxSequences:
    """Steps of all streams, a period at a time. It ignores the ends of episodes."""

    thread_safe = False

    def __init__(self, sizes: Sizes, shape: tuple[int, ...], held: int) -> None:
        self.chunk, self.frames = sizes.period, sizes.rows
        length = -(-held // (sizes.streams * sizes.period)) * sizes.period
        buffer = flashbax.make_prioritized_trajectory_buffer(
            add_batch_size=sizes.streams,
            sample_batch_size=sizes.batch,
            sample_sequence_length=sizes.rows,
            period=sizes.period,
            min_length_time_axis=sizes.rows,
            max_length_time_axis=max(length, 4 * sizes.period),
            priority_exponent=0.9,
            device="cpu",
        )
        example = {
            "observation": jnp.zeros(shape, jnp.uint8),
            "action": jnp.zeros((), jnp.int16),
            "reward": jnp.zeros(()),
            "terminated": jnp.zeros((), bool),
        }
        self._buffer = _Buffer(buffer, example)
        self._priorities = np.random.default_rng(0).lognormal(size=sizes.batch).astype(np.float32)

    def prepare(self, feed: Feed, t: int) -> Any:
        return feed.window(t, self.chunk)

    def insert(self, prepared: Any) -> None:
        self._buffer.add(prepared)

    def sample(self) -> Any:
        return self._buffer.sample()["observation"]

    def update(self) -> None:
        self._buffer.update(self._priorities)


class FlashbaxTransitions:
    """Flat buffers, which rebuild the next observation from the next step of the same environment."""

    def __init__(self, capacity: int, streams: int, prioritized: bool) -> None:
        def make(n: int) -> Any:
            options = {
                "max_length": capacity,
                "min_length": 2 * streams,
                "sample_batch_size": n,
                "add_batch_size": streams,
            }
            if prioritized:
                return flashbax.make_prioritized_flat_buffer(**options, priority_exponent=0.6, device="cpu")
            return flashbax.make_flat_buffer(**options)

        example = {
            "obs": jnp.zeros(4),
            "action": jnp.zeros((), jnp.int16),
            "reward": jnp.zeros(()),
            "terminated": jnp.zeros((), bool),
        }
        self._make = make
        self._buffer = _Buffer(make(32), example)
        self._known: set[int] = set()
        self._rng = np.random.default_rng(0)

    def add(self, values: dict[str, NDArray]) -> None:
        self._buffer.add({name: value for name, value in values.items() if name != "next_obs"})

    def sample(self, n: int) -> Any:
        if n not in self._known:
            self._known.add(n)
            self._buffer.also(n, self._make(n))
        return self._buffer.sample(n)

    def update(self, n: int) -> None:
        self._buffer.update((self._rng.random(n) + 0.1).astype(np.float32), n)


class FlashbaxTree:
    """Its float32 sum tree."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._set = jax.jit(sum_tree.set_batch_bincount, donate_argnums=0)
        self._draw = jax.jit(
            lambda state, key, n: jax.vmap(lambda k: sum_tree.sample(state, k))(jax.random.split(key, n)),
            static_argnums=2,
        )
        self._state = self._set(sum_tree.init(len(values)), jnp.arange(len(values)), jnp.asarray(values))
        self._key = jax.random.PRNGKey(0)

    def draw(self, n: int) -> NDArray:
        self._key, key = jax.random.split(self._key)
        return np.asarray(self._draw(self._state, key, n))

    def assign(self, leaves: NDArray, values: NDArray) -> None:
        self._state = jax.block_until_ready(self._set(self._state, leaves, values.astype(np.float32)))


def sequences(sizes: Sizes, variant: str, shape: tuple[int, ...], held: int) -> FlashbaxSequences:
    return FlashbaxSequences(sizes, shape, held)


def transitions(capacity: int, streams: int, prioritized: bool) -> FlashbaxTransitions:
    return FlashbaxTransitions(capacity, streams, prioritized)


def tree(values: NDArray[np.float64]) -> FlashbaxTree:
    return FlashbaxTree(values)
