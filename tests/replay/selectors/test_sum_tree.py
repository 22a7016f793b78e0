"""The law of the tree: it is cumsum and searchsorted, only faster, and it stays so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from r2d2.replay.selectors.sum_tree import SumTree

Values = NDArray[np.float64]


def tree_of(values: list[float] | Values) -> SumTree:
    tree = SumTree(len(values))
    tree.load_values(np.asarray(values, np.float64))
    return tree


def searched(values: Values, targets: Values) -> NDArray[np.int64]:
    """The same by hand, in O(n)."""
    return np.searchsorted(np.cumsum(values), targets, side="right")


# Integers add up exactly in float64, so that both sides must agree about every boundary.
whole = st.integers(0, 1000).map(float)
operations = st.lists(st.tuples(st.integers(0, 10**6), whole), min_size=1, max_size=20)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 70), st.lists(operations, max_size=6), st.integers(0, 2**32 - 1))
def test_it_is_cumsum_and_searchsorted(
    capacity: int, batches: list[list[tuple[int, float]]], seed: int
) -> None:
    """After any assignments, repeated indices included: values, total, and the leaf of every running sum,
    exactly at each boundary too."""
    tree, values = SumTree(capacity), np.zeros(capacity)
    rng = np.random.default_rng(seed)
    for batch in batches:
        indices = np.array([index % capacity for index, _ in batch])
        new = np.array([value for _, value in batch])
        tree.assign(indices, new)
        for index, value in zip(indices, new, strict=True):
            values[index] = value
        np.testing.assert_array_equal(tree.values, values)
        np.testing.assert_array_equal(tree.get(indices), values[indices])
        assert tree.total == values.sum()
        if tree.total > 0:
            edges = np.cumsum(values)
            targets = np.concatenate([rng.random(20) * tree.total, [0.0], edges[edges < tree.total]])
            np.testing.assert_array_equal(tree.find(targets), searched(values, targets))


def test_sums_do_not_drift() -> None:
    """After 1e6 updates over 16 orders of magnitude, each inner sum is still that of its leaves."""
    rng = np.random.default_rng(0)
    tree = SumTree(1000)
    for _ in range(1000):
        tree.assign(rng.integers(1000, size=1000), 10.0 ** rng.uniform(-8, 8, 1000))
    tree.assign(np.arange(1000), np.full(1000, 1e-8))
    assert tree.total == pytest.approx(1e-5, rel=1e-12)
    tree.assign(np.arange(1000), np.zeros(1000))
    assert tree.total == 0.0


def test_a_target_at_or_past_the_total_finds_the_last_leaf_that_has_value() -> None:
    """Rounding can produce such targets; a leaf of value zero is never an answer."""
    tree = tree_of([0.0, 2.0, 0.0, 1.0, 0.0, 0.0])
    targets = np.array([0.0, np.nextafter(2.0, 0), 2.0, np.nextafter(3.0, 0), 3.0, 3.5])
    assert tree.find(targets).tolist() == [1, 1, 3, 3, 3, 3]


@pytest.mark.parametrize("capacity", [1, 2, 3, 1000])
def test_leaves_of_value_zero_are_never_found(capacity: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = np.where(rng.random(capacity) < 0.7, 0.0, 10.0 ** rng.uniform(-300, 300, capacity))
        values[rng.integers(capacity)] = 1.0
        tree = tree_of(values)
        found = tree.find(np.concatenate([rng.random(500) * tree.total, [0.0, tree.total]]))
        assert (values[found] > 0).all()


def test_tiny_values_live_beside_huge_ones() -> None:
    """They are found where their own range is not lost in rounding, and the huge one everywhere else."""
    tree = tree_of([1e-300, 1e300, 1e-300])
    assert tree.find(np.array([0.0, 1e-301, 1e-299, 5e299])).tolist() == [0, 0, 1, 1]
    tree.assign(np.array([1]), np.array([0.0]))
    assert tree.total == 2e-300
    assert tree.find(np.array([0.5e-300, 1.5e-300])).tolist() == [0, 2]


def test_low_priorities_are_drawn_in_a_tree_of_a_million() -> None:
    """Half of 2^20 leaves hold 1e-3 beside ones: they make up 0.1 % of the sum and of the draws. With float32
    sums, many of them can never be drawn."""
    size = 2**20
    values = np.where(np.arange(size) % 2 == 0, 1e-3, 1.0)
    tree = tree_of(values)
    before = np.cumsum(values) - values
    low = np.arange(0, size, 2)
    assert (tree.find(before[low] + 0.5e-3) == low).all()
    found = tree.find((np.arange(10**6) + 0.5) / 10**6 * tree.total)
    assert np.mean(found % 2 == 0) == pytest.approx(1e-3 / (1.0 + 1e-3), rel=0.02)


def test_one_leaf() -> None:
    tree = tree_of([0.25])
    assert tree.total == 0.25
    assert tree.find(np.array([0.0, 0.2])).tolist() == [0, 0]


def test_capacity_is_checked() -> None:
    with pytest.raises(ValueError, match="capacity must be at least 1, got 0"):
        SumTree(0)
