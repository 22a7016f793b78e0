"""The law of recency: P(i) ~ exp(-decay * age), however long it has run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_selectors import chi_square, draws

from r2d2.replay import Recency


def closed_form(ages: NDArray, decay: float) -> NDArray:
    """Shifted by the smallest age, which leaves the quotient as it is and keeps it from vanishing."""
    values = np.exp(-decay * (ages - ages.min()))
    return values / values.sum()


@pytest.mark.parametrize("decay", [0.0, 1e-3, 0.05, 3.0])
def test_the_closed_form_after_a_million_insertions(decay: float) -> None:
    """The oldest of 1000 places is replaced a million times over: 3.0 moves the base every 200 insertions."""
    capacity, inserted = 1000, 0
    selector = Recency(capacity, decay=decay)
    for step in range(1000 if decay < 1 else 200):
        places = np.arange(capacity)
        if step:
            selector.remove(places)
        for part in np.split(places, 10 if step % 2 else 1):
            selector.insert(part, part * 0)
        inserted += capacity
    assert inserted >= 200_000
    half = np.arange(500)
    selector.remove(half)
    selector.insert(half, half * 0)
    ages = np.concatenate([499 - half, 999 - np.arange(500)]).astype(float)
    expected = closed_form(ages, decay)
    np.testing.assert_allclose(
        selector.values(np.arange(capacity)) / selector.total, expected, rtol=1e-9, atol=1e-280
    )
    places, probability = selector.sample(1000, np.random.default_rng(0))
    np.testing.assert_allclose(probability, expected[places], rtol=1e-9)


def test_counts_follow_the_ages() -> None:
    """They would not pass for uniform draws."""
    selector = Recency(30, decay=0.1)
    places = np.random.default_rng(1).permutation(30)
    selector.insert(places, places * 0)
    selector.update(places, np.arange(30.0))  # of no effect
    ages = np.empty(30)
    ages[places] = 29 - np.arange(30)
    counts = draws(selector, 30, batches=200, size=100)
    assert chi_square(counts, closed_form(ages, 0.1) * counts.sum()) < 4
    assert chi_square(counts, np.full(30, counts.sum() / 30)) > 10


def test_old_items_are_drawn_again_when_all_newer_ones_are_gone() -> None:
    """Though beside those their values had vanished in float64."""
    selector = Recency(10, decay=300.0)
    places = np.arange(10)
    selector.insert(places, places * 0)
    assert selector.values(places)[0] == 0.0
    selector.remove(np.arange(2, 10))
    drawn, probability = selector.sample(5, np.random.default_rng(0))
    assert drawn.tolist() == [1] * 5
    np.testing.assert_allclose(probability, 1.0, rtol=1e-12)
    selector.remove(np.array([1]))
    assert selector.sample(2, np.random.default_rng(0))[0].tolist() == [0, 0]
    selector.insert(np.array([4]), np.array([0]))
    assert selector.sample(2, np.random.default_rng(0))[0].tolist() == [4, 4]


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), capacity=st.integers(1, 8), decay=st.sampled_from([0.0, 0.2, 40.0, 800.0])
)
def test_any_insertions_and_removals(seed: int, capacity: int, decay: float) -> None:
    """Against a plain dict of numbers; a reload goes on alike."""
    rng = np.random.default_rng(seed)
    selector, live, inserted = Recency(capacity, decay=decay), dict[int, int](), 0
    for _ in range(60):
        dead = sorted(set(range(capacity)) - set(live))
        new = rng.permutation(dead)[: rng.integers(len(dead) + 1)].astype(np.int64)
        selector.insert(new, new * 0)
        for place in new.tolist():
            live[place] = inserted
            inserted += 1
        gone = rng.permutation(sorted(live))[: rng.integers(len(live) + 1)].astype(np.int64)
        selector.remove(gone)
        for place in gone.tolist():
            del live[place]
        assert len(selector) == len(live)
        if not live:
            continue
        twin = Recency(capacity, decay=decay)
        twin.load_state_dict(selector.state_dict())
        assert len(twin) == len(live)
        drawn, probability = selector.sample(20, np.random.default_rng(seed))
        again, same = twin.sample(20, np.random.default_rng(seed))
        assert again.tolist() == drawn.tolist()
        assert same.tolist() == probability.tolist()
        places = np.array(sorted(live))
        ages = np.array([inserted - 1 - live[place] for place in places.tolist()], float)
        expected = dict(zip(places.tolist(), closed_form(ages, decay), strict=True))
        np.testing.assert_allclose(probability, [expected[place] for place in drawn.tolist()], rtol=1e-9)


def test_a_decay_that_is_none_is_refused() -> None:
    for decay in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"decay must be finite and >= 0 .*got"):
            Recency(4, decay=decay)
