"""The law of selectors: items are drawn with the probabilities of the formula, and removed in order."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from r2d2.replay import Fifo, Proportional, Selector, Uniform

Slots = NDArray[np.int64]
SELECTORS: dict[str, Callable[[int], Selector]] = {"uniform": Uniform, "proportional": Proportional}


def chi_square(counts: NDArray, expected: NDArray) -> float:
    """Standard score of Pearson's statistic (Wilson and Hilferty 1931): above 4 once in 30,000 fair tests."""
    degrees = len(expected) - 1
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return ((statistic / degrees) ** (1 / 3) - (1 - 2 / (9 * degrees))) / math.sqrt(2 / (9 * degrees))


def insert(selector: Selector, places: NDArray) -> None:
    selector.insert(places, np.zeros_like(places))


def draws(selector: Selector, capacity: int, *, batches: int, size: int) -> NDArray:
    rng = np.random.default_rng(0)
    slots = np.concatenate([selector.sample(size, rng)[0] for _ in range(batches)])
    return np.bincount(slots, minlength=capacity)


def proportional(priorities: list[float], **arguments: Any) -> Proportional:
    selector = Proportional(len(priorities), **arguments)
    slots = np.arange(len(priorities))
    insert(selector, slots)
    selector.update(slots, np.array(priorities))
    return selector


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 0.9, 1.0])
def test_proportional_probabilities_and_counts(alpha: float, stratified: bool) -> None:
    """P(i) = (p_i + epsilon)^alpha / sum, as answered and as drawn. The counts would not pass for uniform
    draws, nor for those of another alpha."""
    priorities = np.random.default_rng(3).exponential(size=50) ** 2
    selector = proportional(priorities.tolist(), alpha=alpha, stratified=stratified, epsilon=0.01)
    weights = [(p + 0.01) ** alpha for p in priorities]
    expected = np.array([w / sum(weights) for w in weights])
    slots, probability = selector.sample(1000, np.random.default_rng(1))
    np.testing.assert_allclose(probability, expected[slots], rtol=1e-12)
    counts = draws(selector, 50, batches=400, size=100)
    assert chi_square(counts, expected * counts.sum()) < 4
    for other in {0.0, 0.6, 0.9, 1.0} - {alpha}:
        wrong = (priorities + 0.01) ** other
        assert chi_square(counts, wrong / wrong.sum() * counts.sum()) > 10


def test_uniform_probabilities_and_counts() -> None:
    """1 / N each, also after removals, whatever the priorities are."""
    selector = Uniform(40)
    insert(selector, np.arange(40))
    selector.remove(np.array([0, 39, 7, 8, 20, 38]))
    selector.update(np.array([1, 2]), np.array([100.0, 0.0]))
    _, probability = selector.sample(10, np.random.default_rng(1))
    np.testing.assert_array_equal(probability, 1 / 34)
    counts = draws(selector, 40, batches=100, size=200)
    assert (counts[[0, 39, 7, 8, 20, 38]] == 0).all()
    counts = counts[counts > 0]
    assert len(counts) == 34
    assert chi_square(counts, np.full(34, counts.sum() / 34)) < 4


def test_each_stratum_is_hit_once() -> None:
    """n draws of a batch lie in n equal ranges of the total, in order: an item with a share of k / n comes
    at least k - 1 and at most k + 1 times."""
    priorities = np.random.default_rng(5).exponential(size=30)
    selector = proportional(priorities.tolist(), alpha=1.0, epsilon=0.0)
    n = 16
    edges = np.cumsum(priorities) / priorities.sum()
    rng = np.random.default_rng(2)
    for _ in range(200):
        slots, _ = selector.sample(n, rng)
        lowest = np.searchsorted(edges, np.arange(n) / n, side="right")
        highest = np.searchsorted(edges, (np.arange(n) + 1) / n)
        assert ((lowest <= slots) & (slots <= highest)).all()
    counts = np.bincount(selector.sample(n, rng)[0], minlength=30)
    assert (np.abs(counts - n * priorities / priorities.sum()) < 2).all()


def test_without_strata_draws_are_independent() -> None:
    """A single item's count in a batch then has the binomial variance; strata nearly remove it."""
    counts = {}
    for stratified in (False, True):
        selector = proportional([1.0, 1.0, 1.0, 1.0], alpha=1.0, stratified=stratified)
        rng = np.random.default_rng(0)
        counts[stratified] = np.var([np.sum(selector.sample(16, rng)[0] == 0) for _ in range(2000)])
    assert counts[False] == pytest.approx(16 * 0.25 * 0.75, rel=0.15)
    assert counts[True] < 0.1


def test_zero_priorities() -> None:
    """epsilon keeps them alive; without it they are never drawn, and nothing can be drawn if all are zero."""
    counts = draws(proportional([0.0, 1.0], alpha=1.0, epsilon=0.25), 2, batches=100, size=100)
    assert chi_square(counts, np.array([1 / 6, 5 / 6]) * counts.sum()) < 4
    assert draws(proportional([0.0, 1.0], epsilon=0.0), 2, batches=10, size=10).tolist() == [0, 100]
    with pytest.raises(ValueError, match="every priority is 0.*epsilon > 0"):
        proportional([0.0, 0.0], epsilon=0.0).sample(1, np.random.default_rng(0))


def test_new_items_get_the_highest_priority_seen() -> None:
    """1 before any update; then the largest of all updates, though the item that had it is gone."""
    selector = Proportional(8, alpha=1.0, epsilon=0.0)
    insert(selector, np.array([0]))
    assert selector.values(np.array([0])).tolist() == [1.0]
    selector.update(np.array([0]), np.array([0.5]))
    insert(selector, np.array([1]))
    assert selector.values(np.array([1])).tolist() == [0.5]
    selector.update(np.array([0, 1]), np.array([3.0, 0.1]))
    selector.remove(np.array([0]))
    selector.update(np.array([1]), np.array([0.2]))
    insert(selector, np.array([2, 3]))
    assert selector.values(np.array([0, 1, 2, 3])).tolist() == [0.0, 0.2, 3.0, 3.0]


def test_of_a_repeated_slot_the_last_priority_counts() -> None:
    selector = proportional([1.0, 1.0], alpha=1.0, epsilon=0.0)
    selector.update(np.array([0, 1, 0]), np.array([5.0, 2.0, 3.0]))
    assert selector.values(np.arange(2)).tolist() == [3.0, 2.0]


@pytest.mark.parametrize("make", SELECTORS.values(), ids=SELECTORS.keys())
def test_a_single_item_is_drawn_every_time(make: Callable[[int], Selector]) -> None:
    selector = make(1)
    insert(selector, np.array([0]))
    selector.update(np.array([0]), np.array([1e-300]))
    slots, probability = selector.sample(5, np.random.default_rng(0))
    assert slots.tolist() == [0] * 5
    assert probability.tolist() == [1.0] * 5


@pytest.mark.parametrize("make", SELECTORS.values(), ids=SELECTORS.keys())
@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), capacity=st.integers(1, 20), steps=st.integers(1, 30))
def test_only_live_items_are_drawn(
    make: Callable[[int], Selector], seed: int, capacity: int, steps: int
) -> None:
    """Under any insertions, removals and updates; a reloaded selector draws the same."""
    rng = np.random.default_rng(seed)
    selector = make(capacity)
    live: set[int] = set()
    for _ in range(steps):
        dead = sorted(set(range(capacity)) - live)
        chosen = rng.permutation(dead)[: rng.integers(len(dead) + 1)].astype(np.int64)
        insert(selector, chosen)
        live |= set(chosen.tolist())
        gone = rng.permutation(sorted(live))[: rng.integers(len(live) + 1)].astype(np.int64)
        selector.remove(gone)
        live -= set(gone.tolist())
        assert len(selector) == len(live)
        if live:
            slots = np.array(sorted(live))
            selector.update(slots, rng.exponential(size=len(slots)))
            drawn, probability = selector.sample(50, np.random.default_rng(seed))
            assert set(drawn.tolist()) <= live
            values = selector.values(slots)
            expected = dict(zip(slots.tolist(), values / values.sum(), strict=True))
            np.testing.assert_allclose(probability, [expected[slot] for slot in drawn.tolist()], rtol=1e-9)
            twin = make(capacity)
            twin.load_state_dict(selector.state_dict())
            again, _ = twin.sample(50, np.random.default_rng(seed))
            assert again.tolist() == drawn.tolist()
            assert len(twin) == len(live)


def test_state_is_a_copy() -> None:
    selector = proportional([1.0, 2.0])
    state = selector.state_dict()
    selector.update(np.array([0]), np.array([9.0]))
    twin = Proportional(2)
    twin.load_state_dict(state)
    assert twin.max_priority == 2.0
    assert twin.values(np.arange(2)) == pytest.approx([1.0**0.9, 2.0**0.9], rel=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7)), max_size=40))
def test_fifo_gives_up_the_oldest(steps: list[tuple[int, int]]) -> None:
    """Like a deque, across the end of its ring and a reload; asked for more than it has, it gives all."""
    capacity = 6
    fifo, twin, slot = Fifo(capacity), deque[int](), 0
    for insert, pop in steps:
        new = list(range(slot, slot + min(insert, capacity - len(twin))))
        slot += len(new)
        fifo.insert(np.array(new, np.int64))
        twin.extend(new)
        assert fifo.pop(pop).tolist() == [twin.popleft() for _ in range(min(pop, len(twin)))]
        reloaded = Fifo(capacity)
        reloaded.load_state_dict(fifo.state_dict())
        fifo = reloaded


def test_constructors_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"alpha must be in \[0, 1\].*got 1.5"):
        Proportional(4, alpha=1.5)
    with pytest.raises(ValueError, match="epsilon must be >= 0, got -1"):
        Proportional(4, epsilon=-1.0)
    with pytest.raises(ValueError, match="capacity must be at least 1, got 0"):
        Proportional(0)
