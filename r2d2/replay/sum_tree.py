"""SumTree: draw an index with probability proportional to its value, in O(log n).

Values and sums are float64: with float32, trees of a million leaves never draw a third of their
low-priority leaves. Every inner node is recomputed as the sum of its two children, never adjusted by a
difference, so sums do not drift however many updates are made.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def _assign(tree, size, indices, values):
    """Set leaves (a repeated index keeps its last value), then repair the sums one level at a time."""
    nodes = np.empty(len(indices), np.int64)
    for i in range(len(indices)):
        nodes[i] = (size + indices[i]) >> 1
        tree[size + indices[i]] = values[i]
    while len(nodes) and nodes[0] >= 1:
        for i in range(len(nodes)):
            node = nodes[i]
            tree[node] = tree[2 * node] + tree[2 * node + 1]
            nodes[i] = node >> 1


@njit(cache=True, nogil=True)
def _find(tree, size, targets):
    """The leaf in which each running sum falls; one level of all draws at a time hides memory latency."""
    nodes = np.ones(len(targets), np.int64)
    rest = targets.copy()
    width = 1
    while width < size:
        for i in range(len(nodes)):
            left = 2 * nodes[i]
            # Rounding can leave a target at or past the total: never walk into an empty subtree.
            if rest[i] < tree[left] or tree[left + 1] <= 0.0:
                nodes[i] = left
            else:
                rest[i] -= tree[left]
                nodes[i] = left + 1
        width *= 2
    return nodes - size


class SumTree:
    """`capacity` non-negative float64 values with fast totals, assignment and search by running sum."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self.capacity = capacity
        self._size = 1 << max(1, (capacity - 1).bit_length())
        self._tree = np.zeros(2 * self._size)

    @property
    def total(self) -> float:
        return float(self._tree[1])

    @property
    def nbytes(self) -> int:
        return self._tree.nbytes

    def assign(self, indices: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Set the values at `indices` [K]; of a repeated index the last value counts."""
        _assign(self._tree, self._size, indices, values)

    def find(self, targets: NDArray[np.float64]) -> NDArray[np.int64]:
        """The index i with sum(values[:i]) <= target < sum(values[:i + 1]), for targets [K] in [0, total)."""
        return _find(self._tree, self._size, targets)

    def get(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """The values at `indices` [K]."""
        return self._tree[self._size + indices]

    @property
    def values(self) -> NDArray[np.float64]:
        """All values [capacity], as a view: do not write."""
        return self._tree[self._size : self._size + self.capacity]

    def load_values(self, values: NDArray[np.float64]) -> None:
        """Replace all values [capacity] at once."""
        self.assign(np.arange(self.capacity), np.ascontiguousarray(values, np.float64))
