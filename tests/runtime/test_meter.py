"""Laws of ages: they are counted from each item's own beginning, and never for another item in its place."""

from __future__ import annotations

import math

import numpy as np

from r2d2.runtime.meter import Ages


def test_age_and_lag_are_those_of_a_plain_dictionary() -> None:
    """Over items that come, are replaced and are drawn with repetition, saved and loaded on the way."""
    rng = np.random.default_rng(0)
    capacity, ages = 10, Ages(lambda ids: ids % 10)
    generation = np.zeros(capacity, np.int64)
    inserted: dict[int, tuple[int, int]] = {}
    updates = acted = 0
    for turn in range(200):
        places = rng.choice(capacity, 2, replace=False)
        generation[places] += 1
        ids = generation[places] * capacity + places
        ages.insert(ids, updates=updates, actor_updates=acted)
        inserted |= dict.fromkeys(ids.tolist(), (updates, acted))
        if turn == 100:
            ages, before = Ages(lambda ids: ids % 10), ages
            ages.load_state_dict(before.state_dict())
        updates += int(rng.integers(3))
        if turn % 7 == 0:
            acted = updates
        drawn = rng.choice(ids, 4)
        found = ages.of(drawn, updates)
        assert found["replay/age"] == np.mean([updates - inserted[i][0] for i in drawn.tolist()])
        assert found["replay/parameter_lag"] == np.mean([updates - inserted[i][1] for i in drawn.tolist()])
        assert found["replay/parameter_lag"] >= found["replay/age"]


def test_an_item_whose_place_was_taken_is_left_out() -> None:
    ages = Ages(lambda ids: ids % 4)
    ages.insert(np.array([1, 2]), updates=10, actor_updates=8)
    ages.insert(np.array([1 + 4]), updates=30, actor_updates=28)
    assert ages.of(np.array([1, 2]), 40) == {"replay/age": 30.0, "replay/parameter_lag": 32.0}
    assert math.isnan(ages.of(np.array([1]), 40)["replay/age"])
