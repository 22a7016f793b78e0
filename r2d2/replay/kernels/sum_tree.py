"""The loops of the sum tree: see `r2d2.replay.selectors.sum_tree`."""

from __future__ import annotations

import numpy as np

from r2d2.replay.kernels.kernel import kernel

GROUP = 16  # values under the lowest node: the fastest of 8, 16 and 32 at a million values; ours


@kernel
def repair(tree, values, size, indices):
    """Recompute the sums above these indices, one level of all of them at a time; neighbors share the work."""
    nodes = np.empty(len(indices), np.int64)
    count = 0
    for i in range(len(indices)):
        group = indices[i] // GROUP
        if count and nodes[count - 1] == size + group:
            continue
        total = 0.0
        for k in range(group * GROUP, (group + 1) * GROUP):
            total += values[k]
        nodes[count] = size + group
        tree[nodes[count]] = total
        count += 1
    while count and nodes[0] > 1:
        kept = 0
        for i in range(count):
            node = nodes[i] >> 1
            if kept and nodes[kept - 1] == node:
                continue
            tree[node] = tree[2 * node] + tree[2 * node + 1]
            nodes[kept] = node
            kept += 1
        count = kept


@kernel
def assign(tree, values, size, indices, new):
    """Set values; a repeated index keeps its last one."""
    for i in range(len(indices)):
        values[indices[i]] = new[i]
    repair(tree, values, size, indices)


@kernel
def fill(tree, values, size, indices, value):
    """Set values to one and the same."""
    for i in range(len(indices)):
        values[indices[i]] = value
    repair(tree, values, size, indices)


@kernel
def find(tree, values, size, targets):
    """The index in which each running sum falls; one level of all draws at a time hides memory latency."""
    found = np.ones(len(targets), np.int64)
    rest = targets.copy()
    width = 1
    while width < size:
        for i in range(len(found)):
            left = 2 * found[i]
            below = tree[left]
            # Rounding can leave a target at or past the total: never walk into an empty subtree.
            right = (rest[i] >= below) & (tree[left + 1] > 0.0)
            found[i] = left + right
            rest[i] -= below * right
        width *= 2
    half = GROUP // 2
    for i in range(
        len(found)
    ):  # the upper or the lower half; apart from the next loop, so that all memory is
        first = (found[i] - size) * GROUP  # asked for at once
        below, above = 0.0, 0.0
        for k in range(first, first + half):
            below += values[k]
            above += values[k + half]
        right = (rest[i] >= below) & (above > 0.0)
        found[i] = first + half * right
        rest[i] -= below * right
    for i in range(len(found)):
        first, chosen, total = found[i], found[i], 0.0
        for k in range(first, first + half - 1):
            total += values[k]
            chosen += rest[i] >= total
        while chosen > first and values[chosen] <= 0.0:
            chosen -= 1
        found[i] = chosen
    return found


@kernel
def draw(tree, values, size, points):
    """Indices at these points [n] of [0, 1), by share of the total, and their shares."""
    indices = find(tree, values, size, points * tree[1])
    shares = np.empty(len(points))
    for i in range(len(points)):
        shares[i] = values[indices[i]] / tree[1]
    return indices, shares


@kernel
def assign_powers(tree, values, size, indices, bases, add, exponent):
    """Set values to (base + add)^exponent; returns the highest base."""
    highest = 0.0
    for i in range(len(indices)):
        highest = max(highest, bases[i])
        values[indices[i]] = (bases[i] + add) ** exponent
    repair(tree, values, size, indices)
    return highest
