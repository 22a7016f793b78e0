"""The law of the sequencer: every action is trained, no item crosses episodes, rows are held long enough."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stream_twin import Cut, Sizes, StreamTwin

from r2d2.replay import Sequencer
from r2d2.types import Items


@st.composite
def all_sizes(draw: st.DrawFn) -> Sizes:
    unroll = draw(st.integers(1, 8))
    return Sizes(
        burn_in=draw(st.integers(0, 12)),
        unroll=unroll,
        n_step=draw(st.integers(1, 5)),
        period=draw(st.integers(1, unroll)),
        context=draw(st.integers(0, 3)),
    )


class Driver:
    """Writes rows to some streams and remembers what comes out. The core state of a row is its number."""

    def __init__(self, sizes: Sizes, streams: int) -> None:
        self.sequencer = sizes.sequencer(streams, core_size=2)
        self.written = [0] * streams
        self.found: list[Cut] = []
        self.low_water = [0] * streams

    def write(self, streams: list[int], last: list[bool]) -> list[Cut]:
        rows = np.array([self.written[stream] for stream in streams])
        core = np.array([[stream, self.written[stream]] for stream in streams], np.float32)
        flags = np.array(last)
        self.sequencer.check(np.array(streams), flags, core)
        items, low_water = self.sequencer.advance(np.array(streams), rows, flags, core)
        new = self.check(items)
        for stream, row in zip(streams, low_water.tolist(), strict=True):
            row = min(row, self.written[stream] + 1)
            assert self.low_water[stream] <= row <= self.written[stream] + 1
            assert self.written[stream] + 1 - row <= self.sequencer.window
            self.low_water[stream] = row
            self.written[stream] += 1
        self.found += new
        return new

    def check(self, items: Items) -> list[Cut]:
        """The items as cuts; their states and rows are those that they need."""
        parts = (items.stream, items.row + items.context + items.burn_in, items.context, items.burn_in)
        new = [Cut(*map(int, cut)) for cut in zip(*parts, items.length, items.lookahead, strict=True)]
        for cut, state in zip(new, items.core.tolist(), strict=True):
            assert state == [cut.stream, cut.begin], "the core state before the item's first observation"
            assert cut.rows[0] >= self.low_water[cut.stream], "a row had been let go that an item needs"
        return new


@settings(max_examples=150, deadline=None)
@given(all_sizes(), st.lists(st.integers(1, 40), min_size=1, max_size=5))
@example(Sizes(40, 80, 5, 40, 3), [1, 39, 40, 41, 80, 81, 85, 120, 121, 200])
def test_every_action_of_every_episode_is_trained(sizes: Sizes, lengths: list[int]) -> None:
    """In items that stay within the episode, start every `period` steps at its first action, have the longest
    burn-in, context and lookahead that the episode allows, and that the stated sizes never exceed."""
    driver = Driver(sizes, 1)
    start = 0
    for actions in lengths:
        driver.found.clear()
        for t in range(actions + 1):
            driver.write([0], [t == actions])
        assert len(driver.found) >= 1
        trained = [0] * actions
        for k, item in enumerate(driver.found):
            first = item.trained - start
            assert first == k * sizes.period
            assert item.burn_in == min(sizes.burn_in, first)
            assert item.context == min(sizes.context, first - item.burn_in)
            assert item.length == min(sizes.unroll, actions - first)
            assert 1 <= item.lookahead == min(sizes.n_step, actions + 1 - first - item.length)
            assert start <= item.rows[0] <= item.rows[-1] <= start + actions
            assert len(item.rows) <= driver.sequencer.rows
            for t in range(first, first + item.length):
                trained[t] += 1
        assert min(trained) >= 1, "an action that is never trained"
        assert max(trained) <= -(-sizes.unroll // sizes.period)
        ends = [item.trained + item.length for item in driver.found]
        assert all(end < start + actions for end in ends[:-1]), "an item that only repeats the one before"
        start += actions + 1


@settings(max_examples=80, deadline=None)
@given(all_sizes(), st.integers(1, 3), st.integers(0, 2**32 - 1), st.sampled_from([0.03, 0.2, 0.6]))
def test_it_is_the_slow_twin_for_any_interleaving_of_streams(
    sizes: Sizes, streams: int, seed: int, share: float
) -> None:
    """Any subset of the streams in any write, in any order; items come as soon as their rows are there."""
    rng = np.random.default_rng(seed)
    driver = Driver(sizes, streams)
    twins = [StreamTwin(sizes, stream) for stream in range(streams)]
    for _ in range(80):
        chosen = rng.permutation(streams)[: rng.integers(1, streams + 1)].tolist()
        last = [len(twins[stream].rows) > twins[stream].start and rng.random() < share for stream in chosen]
        new = driver.write(chosen, last)
        assert new == [
            cut for stream, end in zip(chosen, last, strict=True) for cut in twins[stream].write(None, end)
        ]
        assert len(new) <= len(chosen) * driver.sequencer.items_at_once
        assert driver.low_water == [twin.needed for twin in twins]


@settings(max_examples=30, deadline=None)
@given(all_sizes(), st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_a_reloaded_sequencer_goes_on(sizes: Sizes, before: int, seed: int) -> None:
    """Also in the middle of an episode, with items under construction."""
    rng = np.random.default_rng(seed)
    first, second = Driver(sizes, 2), Driver(sizes, 2)
    ends = [(rng.random(2) < 0.1).tolist() for _ in range(before + 40)]
    fresh = [True, True]
    for t, end in enumerate(ends):
        end = [flag and not start for flag, start in zip(end, fresh, strict=True)]
        fresh = end
        if t == before:
            second.sequencer.load_state_dict(first.sequencer.state_dict())
            second.written, second.low_water = list(first.written), list(first.low_water)
        new = first.write([0, 1], end)
        if t >= before:
            assert second.write([0, 1], end) == new


def test_an_episode_has_at_least_one_action() -> None:
    sequencer = Sequencer(3, burn_in=0, unroll=2, n_step=1, period=1)
    with pytest.raises(ValueError, match="last is set for stream 2 at the first row.*at least one action"):
        sequencer.check(np.array([0, 2]), np.array([False, True]), np.zeros((2, 0), np.float32))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"streams": 0}, "streams must be at least 1, got 0"),
        ({"burn_in": -1}, "burn_in must be at least 0, got -1"),
        ({"unroll": 0}, "unroll must be at least 1, got 0"),
        ({"n_step": 0}, "n_step must be at least 1, got 0"),
        ({"burn_in": 32768}, "burn_in must be at most 32767 steps, got 32768"),
        ({"unroll": 32768}, "unroll must be at most 32767 steps, got 32768"),
        ({"n_step": 32768}, "n_step must be at most 32767 steps, got 32768"),
        ({"context": -1}, "context must be at least 0, got -1"),
        ({"context": 40000}, "context must be at most 32767 steps, got 40000"),
        ({"core_size": -1}, "core_size must be at least 0, got -1"),
        ({"period": 0}, r"period must be in \[1, unroll=80\] so that no action is skipped, got 0"),
        ({"period": 120}, r"period must be in \[1, unroll=80\] so that no action is skipped, got 120"),
    ],
)
def test_constructor_says_what_is_wrong(changes: dict[str, int], message: str) -> None:
    sizes = {"streams": 2, "burn_in": 40, "unroll": 80, "n_step": 5, "period": 40}
    with pytest.raises(ValueError, match=message):
        Sequencer(**(sizes | changes))


@pytest.mark.parametrize("row", range(30))
@pytest.mark.parametrize("cut", [(4, 6, 2, 3, 1), (0, 5, 1, 5, 0), (7, 4, 3, 2, 3)])
def test_a_stream_that_enters_an_episode_makes_the_items_that_need_no_lost_row(
    cut: tuple[int, ...], row: int
) -> None:
    """All others come out as if the episode had been read from its beginning."""

    def items(first: int) -> list[tuple[int, ...]]:
        names = ("burn_in", "unroll", "n_step", "period", "context")
        sequencer = Sequencer(1, **dict(zip(names, cut, strict=True)))
        sequencer.enter(0, first)
        found = []
        for at in range(first, 41):
            new, _ = sequencer.advance(
                np.array([0]), np.array([at]), np.array([at == 40]), np.zeros((1, 0), np.float32)
            )
            fields = (new.row, new.context, new.burn_in, new.length, new.lookahead, new.number)
            found += list(zip(*(field.tolist() for field in fields), strict=True))
        return found

    assert items(row) == [item for item in items(0) if item[0] >= row]
