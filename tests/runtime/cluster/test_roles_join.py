"""A batch that several shards drew is one batch: what is in it, and what its items weigh."""

from __future__ import annotations

import dataclasses

import numpy as np
from helpers import Setup

from r2d2.runtime.cluster.roles.join import Part, join, mean_ages


def test_the_parts_of_a_batch_have_the_weights_of_one_draw_from_all() -> None:
    """By hand: 3 items of shard 0, of 1/4 each, and 1 of shard 1, of 1/8. Shares 3/4 and 1/4, so an item of
    the first has probability 3/16, that of the second 1/32, six times less, and weight 1 at beta 1."""
    setup = Setup(steps=400)
    actor, replay = setup.actor(setup.network()), setup.replay()
    for _ in range(60):
        for rows in actor.step():
            replay.write(rows.values, rows.last, streams=rows.streams, core=rows.core)
    ids = np.sort(replay.items.ids(replay.items.places))
    first = dataclasses.replace(replay.get(ids[:3]), probability=np.full(3, 1 / 4))
    second = dataclasses.replace(replay.get(ids[3:4]), probability=np.full(1, 1 / 8))
    parts = [Part(0, 7, first, {"age": 4.0}), Part(1, 8, second, {"age": 8.0})]
    batch = join(parts, beta=1.0)
    assert batch.probability.tolist() == [3 / 16] * 3 + [1 / 32]
    assert np.allclose(batch.weight, [1 / 6] * 3 + [1.0], rtol=1e-6)
    assert np.array_equal(batch.ids, ids[:4])
    whole = replay.get(ids[:4])
    assert np.array_equal(batch.core, whole.core)
    assert all(np.array_equal(column, whole.columns[name]) for name, column in batch.columns.items())
    assert mean_ages(parts) == {"age": 5.0}
    assert join(parts[:1], beta=1.0) is first
