"""The law of the kernels of trees, selectors and removers: they are cumsum, list and queue, only faster."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_twins import searched, without

from r2d2.replay.kernels import places as kernels
from r2d2.replay.kernels.sum_tree import GROUP
from r2d2.replay.selectors.sum_tree import SumTree

seeds = st.integers(0, 2**32 - 1)

# -- the tree ----------------------------------------------------------------------------------------------


def check_sums(tree: SumTree) -> None:
    """Every node holds the sum of its children, the lowest of their group's values."""
    groups = np.zeros(tree.size)
    groups[: len(tree.leaves) // GROUP] = tree.leaves.reshape(-1, GROUP).sum(1)
    np.testing.assert_allclose(tree.tree[tree.size :], groups, rtol=1e-14)
    np.testing.assert_array_equal(tree.tree[1 : tree.size], tree.tree[2::2] + tree.tree[3::2])
    assert tree.tree[0] == 0.0
    assert not tree.leaves[tree.capacity :].any()


@pytest.mark.parametrize("capacity", range(1, 101))
def test_the_tree_finds_every_boundary(capacity: int) -> None:
    """Zeros anywhere, at and one step before each running sum, at the total and past it: sums of eighths
    are exact."""
    rng = np.random.default_rng(capacity)
    for share in (0.0, 0.5, 0.9):
        tree = SumTree(capacity)
        values = np.where(rng.random(capacity) < share, 0.0, rng.integers(1, 50, capacity) / 8)
        values[rng.integers(capacity)] = 3.5
        tree.assign(rng.permutation(capacity), np.zeros(capacity))
        order = rng.permutation(capacity)
        tree.assign(order, values[order])
        check_sums(tree)
        assert tree.total == values.sum()
        edges = np.cumsum(values)
        targets = np.concatenate([edges, edges - 1 / 16, [0.0, np.nextafter(edges[-1], 0), 2 * edges[-1]]])
        targets = targets[targets >= 0]
        before = targets.copy()
        np.testing.assert_array_equal(tree.find(targets), searched(values, targets))
        np.testing.assert_array_equal(targets, before)
        points = rng.integers(0, 2**10, 20) / 2**10
        found, shares = tree.draw(points)
        np.testing.assert_array_equal(found, searched(values, points * tree.total))
        np.testing.assert_array_equal(shares, values[found] / tree.total)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 100), seeds)
def test_the_tree_near_rounding(capacity: int, seed: int) -> None:
    """Values of any size: what is found has value, and its own range lies within rounding of the target."""
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(capacity) < 0.4, 0.0, 10.0 ** rng.uniform(-9, 9, capacity))
    values[rng.integers(capacity)] = 1.0
    tree = SumTree(capacity)
    tree.load_values(values)
    check_sums(tree)
    total = values.sum()
    targets = np.concatenate(
        [rng.random(50) * total, np.cumsum(values), [0.0, tree.total, 1.01 * tree.total]]
    )
    found = tree.find(targets)
    ends = np.cumsum(values)
    slack = 1e-13 * total
    assert (values[found] > 0).all()
    assert (ends[found] - values[found] <= targets + slack).all()
    past = targets >= tree.total
    assert (ends[found] >= targets - slack)[~past].all()
    assert (found[targets > tree.total] == np.flatnonzero(values)[-1]).all()


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 100), seeds, st.sampled_from([0.0, 0.5, 0.9, 1.0]), st.sampled_from([0.0, 1e-6, 2.0]))
def test_powers_and_fills(capacity: int, seed: int, exponent: float, add: float) -> None:
    """Of a repeated index the last counts; nothing else changes."""
    rng = np.random.default_rng(seed)
    tree, values = SumTree(capacity), np.zeros(capacity)
    for _ in range(4):
        indices = rng.integers(0, capacity, rng.integers(0, 8))
        bases = rng.exponential(size=len(indices)) * (rng.random(len(indices)) < 0.8)
        assert tree.assign_powers(indices, bases, add, exponent) == max(bases.tolist(), default=0.0)
        for index, base in zip(indices.tolist(), bases.tolist(), strict=True):
            values[index] = (base + add) ** exponent
        np.testing.assert_allclose(tree.values, values, rtol=1e-14)
        check_sums(tree)
        indices, one = rng.integers(0, capacity, rng.integers(0, 4)), float(rng.integers(3))
        tree.fill(indices, one)
        values[indices] = one
        np.testing.assert_allclose(tree.values, values, rtol=1e-14)
        check_sums(tree)


# -- selectors and removers --------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 30), seeds)
def test_the_last_fills_each_hole(capacity: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    dense, index = np.full(capacity, -9, np.int32), np.full(capacity, -1, np.int32)
    twin: list[int] = []
    for _ in range(20):
        new = rng.permutation(np.setdiff1d(np.arange(capacity), twin))[: rng.integers(0, 6)]
        kernels.append(new, dense, index, len(twin))
        twin = twin + new.tolist()
        gone = rng.permutation(np.array(twin, np.int64))[: rng.integers(0, 6)]
        kernels.fill_holes(gone, dense, index, len(twin))
        twin = without(twin, gone.tolist())
        assert dense[: len(twin)].tolist() == twin
        assert index.tolist() == [twin.index(place) if place in twin else -1 for place in range(capacity)]


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 12), seeds)
def test_the_ring_is_a_queue(capacity: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ring, twin = np.full(capacity, -9, np.int32), deque[int]()
    first = end = 0
    for _ in range(30):
        new = rng.integers(0, 1000, rng.integers(0, capacity - len(twin) + 1))
        kernels.push(ring, end, new)
        end += len(new)
        twin.extend(new.tolist())
        n = int(rng.integers(0, len(twin) + 1))
        assert kernels.take(ring, first, n).tolist() == [twin.popleft() for _ in range(n)]
        first += n
        assert kernels.take(ring, first, end - first).tolist() == list(twin)
