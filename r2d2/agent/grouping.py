"""Batches of whole episodes in groups of similar lengths, so that little of what is computed is padding."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from r2d2.types import Batch

SAVED = 2048  # rows that a further group must save; ours: what its own calls cost on a CPU


def length_groups(lengths: NDArray[np.int64], saved: float = SAVED) -> list[NDArray[np.int64]]:
    """Which of the items [B] are trained together, the longest first.

    A group ends where an item has half of the length of the group's longest or less, if that saves at least `saved`
    rows of padding.

    >>> length_groups(np.array([100, 30, 90, 31]), saved=100)
    [array([0, 2]), array([3, 1])]
    >>> length_groups(np.array([100, 30, 90, 31]), saved=140)
    [array([0, 1, 2, 3])]
    """
    order = np.argsort(-lengths, kind="stable")
    falling = lengths[order]
    starts = [0]
    for at in range(1, len(order)):
        longest = falling[starts[-1]]
        if 2 * falling[at] <= longest and (longest - falling[at]) * (len(order) - at) >= saved:
            starts.append(at)
    return np.split(order, starts[1:]) if len(starts) > 1 else [np.arange(len(order))]


def grouped(batch: Batch, unroll: int, saved: float) -> tuple[list[Batch], list[NDArray[np.int64]]]:
    """A batch of each group, without the rows that are padding in all of its items, and the groups; `unroll` is the
    most trained steps of an item."""
    groups = length_groups(batch.length, saved)
    parts = [batch.trimmed(unroll, int(batch.length[group].max())) for group in groups]
    if len(groups) > 1:
        parts = [part.items(group) for part, group in zip(parts, groups, strict=True)]
    return parts, groups


def in_order(values: Tensor, groups: list[NDArray[np.int64]]) -> Tensor:
    """Values [B + K], group by group and K more, with the first B in the order of the items."""
    if len(groups) < 2:
        return values
    places = torch.from_numpy(np.argsort(np.concatenate(groups))).to(values.device)
    return torch.cat([values[places], values[len(places) :]])
