"""Joins the parts that several shards drew into one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from r2d2.replay.draw import importance_weights
from r2d2.types import Batch


class Part(NamedTuple):
    """What one shard drew."""

    shard: int
    incarnation: int
    batch: Batch
    ages: dict[str, float]  # means over the part


def join(parts: Sequence[Part], *, beta: float) -> Batch:
    """The batch of all parts, in order; ids are those of the parts' shards.

    A shard that gave n_s of the n items was drawn from with share n_s / n, so an item's probability is that
    share times its own within its shard, as in `Mixture`. Weights are divided by the largest in the batch, so the
    number of items cancels. A single part is not copied.
    """
    batches = [part.batch for part in parts]
    if len(batches) == 1:
        return batches[0]
    n = sum(len(batch.ids) for batch in batches)
    joined = {
        name: np.concatenate([getattr(batch, name) for batch in batches])
        for name in ("core", "burn_in", "length", "lookahead", "ids")
    }
    probability = np.concatenate([batch.probability * (len(batch.ids) / n) for batch in batches])
    columns = {
        name: np.concatenate([batch.columns[name] for batch in batches]) for name in batches[0].columns
    }
    weight = importance_weights(probability, 1, beta)
    return Batch(columns, probability=probability, weight=weight, **joined)


def mean_ages(parts: Sequence[Part]) -> dict[str, float]:
    """The parts' mean ages, weighted by their numbers of items."""
    n = sum(len(part.batch.ids) for part in parts)
    return {name: sum(part.ages[name] * len(part.batch.ids) for part in parts) / n for name in parts[0].ages}
