"""SumTree: draw an index with probability proportional to its value, in O(log n).

Values and sums are float64: with float32, trees of a million leaves never draw a third of their
low-priority leaves. Every inner node is recomputed as the sum of its children, never adjusted by a
difference, so sums do not drift however many updates are made.

The lowest node sums a group of 16 neighboring values, which a search scans: that is two cache lines in
the place of four levels, and an eighth of the memory of a tree down to single values.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.checks import check_count
from r2d2.replay.kernels import sum_tree as kernels


class SumTree:
    """`capacity` non-negative float64 values with fast totals, assignment and search by running sum."""

    def __init__(self, capacity: int) -> None:
        self.capacity = check_count("capacity", capacity)
        groups = -(-capacity // kernels.GROUP)
        self.size = 1 << (groups - 1).bit_length()  # groups that the tree has room for
        self.leaves = np.zeros(groups * kernels.GROUP)
        self.tree = np.zeros(2 * self.size)

    def grow(self, capacity: int) -> None:
        """Have room for `capacity` values; those that are there keep their indices."""
        larger = SumTree(capacity)
        larger.assign(np.arange(self.capacity), self.values)
        self.capacity, self.size = capacity, larger.size
        self.leaves, self.tree = larger.leaves, larger.tree

    @property
    def total(self) -> float:
        return float(self.tree[1])

    @property
    def nbytes(self) -> int:
        return self.tree.nbytes + self.leaves.nbytes

    def assign(self, indices: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Set the values at `indices` [K]; of a repeated index the last value counts."""
        kernels.assign(self.tree, self.leaves, self.size, indices, values)

    def fill(self, indices: NDArray[np.int64], value: float) -> None:
        """Set the values at `indices` [K] to one and the same."""
        kernels.fill(self.tree, self.leaves, self.size, indices, value)

    def find(self, targets: NDArray[np.float64]) -> NDArray[np.int64]:
        """The index i with sum(values[:i]) <= target < sum(values[:i + 1]), for targets [K] in [0, total)."""
        return kernels.find(self.tree, self.leaves, self.size, targets)

    def draw(self, points: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Indices at `points` [n] in [0, 1), by share of the total, and their shares of it."""
        return kernels.draw(self.tree, self.leaves, self.size, points)

    def assign_powers(
        self, indices: NDArray[np.int64], bases: NDArray[np.float64], add: float, exponent: float
    ) -> float:
        """Set the values at `indices` [K] to (base + add)^exponent; returns the highest base."""
        return float(kernels.assign_powers(self.tree, self.leaves, self.size, indices, bases, add, exponent))

    def get(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """The values at `indices` [K]."""
        return self.leaves[indices]

    @property
    def values(self) -> NDArray[np.float64]:
        """All values [capacity], as a view: do not write."""
        return self.leaves[: self.capacity]

    def load_values(self, values: NDArray[np.float64]) -> None:
        """Replace all values [capacity] at once."""
        self.assign(np.arange(self.capacity), np.ascontiguousarray(values, np.float64))
