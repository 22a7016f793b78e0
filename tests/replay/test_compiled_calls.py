"""The law of the compiled calls: they leave, return and refuse what the parts would, call by call."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from r2d2.replay import Column, Fifo, Proportional, Replay, Selector, Sequencer, Uniform
from r2d2.replay.kernels import blocks, calls, cutting, finite, kernel, places, reading, sum_tree, table

STREAMS = 3
SMALL = {
    "a": Column((3,), "float64"),
    "b": Column((), "uint8"),
    "c": Column((), "float16"),
    "d": Column((2, 2)),
    "e": Column((), ">f4"),
}
LARGE = {"x": Column((150,)), "y": Column()}
FRAMES = {"x": Column((4, 4), "uint8", "lz4"), "y": Column((), "float32")}


def made(
    columns: dict[str, Column], uniform: bool, linked: bool, most: int, seed: int, compiled: bool
) -> Replay:
    rng = np.random.default_rng(seed)
    unroll = int(rng.integers(1, 5))
    sequencer = Sequencer(
        STREAMS,
        burn_in=int(rng.integers(0, 4)),
        unroll=unroll,
        n_step=int(rng.integers(1, 3)),
        period=int(rng.integers(1, unroll + 1)),
        core_size=2,
    )
    capacity = STREAMS * sequencer.items_at_once + int(rng.integers(0, 9))
    stratified = bool(rng.random() < 0.5)
    selector: Selector = (
        Uniform(capacity) if uniform else Proportional(capacity, alpha=0.7, stratified=stratified)
    )
    replay = Replay(
        columns, streams=STREAMS, sequencer=sequencer, selector=selector, remover=Fifo(capacity),
        capacity=capacity, max_capacity=most * capacity, steps=sequencer.rows + int(rng.integers(20, 90)),
        block=int(rng.integers(1, 8)), core_size=2, linked=linked,
        normalize="buffer" if rng.random() < 0.5 else "batch",
    )  # fmt: skip
    assert replay._held.frame.writes
    assert replay._held.frame.draws
    replay._held.frame.writes = replay._held.frame.draws = compiled
    return replay


def outcome(call: Any) -> Any:
    """What a call returns, or how it fails."""
    try:
        return call()
    except (ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"


def plain(value: Any) -> Any:
    """A state without objects that compare by identity."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if hasattr(value, "keys") and hasattr(value, "data"):  # blobs
        return [np.asarray(value.keys), [bytes(value.data[i]) for i in range(len(value.keys))]]
    return copy.copy(value)


def rows_of(rng: np.random.Generator, columns: dict[str, Column], count: int) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, column in columns.items():
        drawn = rng.integers(0, 200, (count, *column.shape)) / (1 if column.numpy_dtype.kind == "u" else 7)
        values[name] = drawn.astype(column.dtype)
    fault = rng.random()
    name = str(rng.choice(list(columns)))
    if fault < 0.05 and columns[name].numpy_dtype.kind == "f":
        values[name].reshape(-1)[rng.integers(values[name].size)] = rng.choice([np.nan, np.inf, -np.inf])
    elif fault < 0.1:
        values[name] = values[name].astype(np.float64)  # refused for uint8, taken for the others
    elif fault < 0.15:
        values[name] = np.asfortranarray(np.repeat(values[name], 2, 0))[::2]
    return values


class Both:
    """A replay whose calls are compiled, and one made of the same parts that calls them one by one."""

    def __init__(self, columns: dict[str, Column], uniform: bool, linked: bool, most: int, seed: int) -> None:
        self.rng, self.columns = np.random.default_rng(seed + 1), columns
        self.pair = [made(columns, uniform, linked, most, seed, compiled) for compiled in (True, False)]
        self.known: list[int] = []

    def same(self, first: Any, second: Any) -> None:
        np.testing.assert_equal(plain(first), plain(second))

    def write(self) -> None:
        rng = self.rng
        streams = rng.permutation(STREAMS)[: rng.integers(1, STREAMS + 1)]
        values = rows_of(rng, self.columns, len(streams))
        row = self.pair[0].sequencer.cutter.episode_row[streams]
        last = (rng.random(len(streams)) < 0.15) & ((row > 0) | (rng.random() < 0.1))
        core = rng.normal(size=(len(streams), 2)).astype(np.float32)
        if rng.random() < 0.05:
            core[0, 1] = np.nan
        got = [
            outcome(lambda replay=replay: replay.write(values, last, streams=streams, core=core))
            for replay in self.pair
        ]
        self.same(*got)
        if isinstance(got[0], np.ndarray):
            self.known += got[0].tolist()

    def draw(self) -> None:
        seed, n, beta = (
            int(self.rng.integers(1000)),
            int(self.rng.integers(1, 9)),
            float(self.rng.choice([0, 0.6])),
        )
        first, second = (
            outcome(lambda replay=replay: replay.sample(n, np.random.default_rng(seed), beta=beta))
            for replay in self.pair
        )
        if isinstance(first, str):
            assert first == second
            return
        for name in ("columns", "core", "burn_in", "length", "lookahead", "ids", "probability", "weight"):
            self.same(getattr(first, name), getattr(second, name))

    def update(self) -> None:
        """Held, late, repeated and unknown ids; priorities that cannot be."""
        rng, ids = self.rng, np.array(self.known[-60:] or [0])
        ids = ids[rng.integers(len(ids), size=rng.integers(0, 6))]
        priorities = rng.exponential(size=len(ids))
        if len(ids) and rng.random() < 0.1:
            ids[-1] = rng.choice([-1, 10**9])
        if len(ids) and rng.random() < 0.1:
            priorities[0] = rng.choice([np.nan, -1.0, np.inf])
        initial = bool(rng.random() < 0.5)
        self.same(
            *(
                outcome(lambda replay=replay: replay.update_priorities(ids, priorities, initial=initial))
                for replay in self.pair
            )
        )

    def check(self) -> None:
        first, second = self.pair
        self.same(first.state_dict(), second.state_dict())
        self.same(first.nbytes, second.nbytes)
        if isinstance(first.selector, Proportional):
            np.testing.assert_array_equal(first.selector._tree.tree, second.selector._tree.tree)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([SMALL, LARGE, FRAMES]), st.booleans(), st.booleans(), st.sampled_from([1, 3]),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
@example(FRAMES, False, True, 3, 0)
@example(LARGE, True, False, 1, 1)
def test_the_same_as_the_parts(
    columns: dict[str, Column], uniform: bool, linked: bool, most: int, seed: int
) -> None:
    both = Both(columns, uniform, linked, most, seed)
    for step in range(120):
        both.write()
        if step % 3 == 0:
            both.draw()
            both.update()
        if both.rng.random() < 0.02:
            for replay in both.pair:
                replay.clear()
        if both.rng.random() < 0.1:
            both.check()
        if both.rng.random() < 0.02:  # arrays may become others
            for replay in both.pair:
                replay.load_state_dict(copy.deepcopy(replay.state_dict()))
    both.check()


@pytest.mark.parametrize("name", [name for name in SMALL if SMALL[name].numpy_dtype.kind == "f"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused(name: str, bad: float) -> None:
    """Each number of each column of each stream; the largest finite ones are taken."""
    replay = made(SMALL, False, False, 1, 0, True)
    values = {name: np.zeros((STREAMS, *column.shape), column.dtype) for name, column in SMALL.items()}
    last = np.zeros(STREAMS, np.bool_)
    for i in range(values[name].size):
        values[name].reshape(-1)[i] = bad
        with pytest.raises(ValueError, match=f"{name} must be finite"):
            replay.write(values, last)
        values[name].reshape(-1)[i] = np.copysign(np.finfo(SMALL[name].dtype).max, bad)
    assert replay.steps_written == 0
    replay.write(values, last)
    assert replay.steps_written == STREAMS


def test_a_class_derived_from_a_selector_keeps_its_own_ways() -> None:
    class Newest(Uniform):
        def sample(self, n: int, rng: np.random.Generator) -> Any:
            return np.full(n, self._dense[len(self) - 1], np.int64), np.ones(n)

    replay = Replay(
        {"y": Column()}, streams=1, sequencer=Sequencer(1, burn_in=0, unroll=1, n_step=1, period=1),
        selector=Newest(50), remover=Fifo(50), capacity=50, steps=50,
    )  # fmt: skip
    for step in range(30):
        replay.write({"y": np.full(1, step, np.float32)}, np.zeros(1, np.bool_))
    assert replay.sample(4, np.random.default_rng(0)).columns["y"][:, 0].tolist() == [28.0] * 4


def test_a_replay_is_not_copied() -> None:
    """Views of the records would become arrays of their own, and what was written would not be read."""
    with pytest.raises(TypeError, match="state_dict"):
        copy.deepcopy(made(SMALL, False, False, 1, 0, True))


def test_a_change_of_any_file_of_loops_makes_all_compiled_ones_old() -> None:
    modules = (blocks, calls, cutting, finite, places, reading, sum_tree, table)
    loops = [
        loop for module in modules for loop in vars(module).values()
        if hasattr(loop, "py_func") and hasattr(loop._cache, "_cache_file")
    ]  # fmt: skip
    assert len(loops) > 15
    names = {"held.py", "kernel.py", *(f"{module.__name__.rpartition('.')[2]}.py" for module in modules)}
    for loop in loops:
        stamp = loop._cache._cache_file._source_stamp
        assert stamp == kernel._stamp()
        assert names <= {name for name, _, _ in stamp}
