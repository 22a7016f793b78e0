"""The law of rank-based replay: the item of rank r comes with probability r^-alpha / sum, nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_selectors import chi_square, draws

from r2d2.replay import RankBased


def ranked(priorities: NDArray, **arguments: Any) -> RankBased:
    selector = RankBased(len(priorities), **({"refresh": 0.0} | arguments))
    places = np.arange(len(priorities))
    selector.insert(places, places * 0)
    selector.update(places, priorities)
    return selector


def formula(priorities: NDArray, alpha: float) -> NDArray:
    """P(i) by the definition, one item at a time."""
    ranks = [1 + sum(other > mine for other in priorities) for mine in priorities]
    weights = [rank**-alpha for rank in ranks]
    return np.array(weights) / sum(weights)


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.7, 1.0])
def test_rank_probabilities_and_counts(alpha: float, stratified: bool) -> None:
    """As answered and as drawn; the counts would not pass with priorities ignored or another alpha."""
    priorities = np.random.default_rng(3).exponential(size=40) ** 4  # outliers, for a proportional draw
    selector = ranked(priorities, alpha=alpha, stratified=stratified)
    expected = formula(priorities, alpha)
    places, probability = selector.sample(500, np.random.default_rng(1))
    np.testing.assert_allclose(probability, expected[places], rtol=1e-12)
    np.testing.assert_allclose(selector.values(np.arange(40)) / selector.total, expected, rtol=1e-12)
    assert selector.min_probability() == pytest.approx(expected.min(), rel=1e-12)
    counts = draws(selector, 40, batches=400, size=100)
    assert chi_square(counts, expected * counts.sum()) < 4
    for other in {0.0, 0.7, 1.0} - {alpha}:
        assert chi_square(counts, formula(priorities, other) * counts.sum()) > 10


def test_one_draw_in_each_of_n_ranges_of_equal_mass() -> None:
    priorities = np.arange(30, 0, -1.0)  # place i has rank i + 1
    selector = ranked(priorities)
    edges = np.cumsum(formula(priorities, 0.7))
    for seed in range(100):
        places, _ = selector.sample(16, np.random.default_rng(seed))
        lowest = np.searchsorted(edges, np.arange(16) / 16, side="right")
        highest = np.searchsorted(edges, (np.arange(16) + 1) / 16 - 1e-12)
        assert ((lowest <= places) & (places <= highest)).all()


def test_new_items_are_at_rank_one_before_and_after_a_sort() -> None:
    for refresh in (0.0, 1.0):
        selector = RankBased(4, alpha=1.0, refresh=refresh)
        selector.insert(np.array([0, 1]), np.array([0, 0]))
        selector.update(np.array([0, 1]), np.array([5.0, 2.0]))
        selector.insert(np.array([3]), np.array([0]))
        assert selector.values(np.array([3])).tolist() == [1.0]
        selector.sample(1, np.random.default_rng(0))
        assert selector.values(np.array([3])).tolist() == [1.0]
        assert selector.values(np.array([2])).tolist() == [0.0]  # nothing is there


def test_between_sorts_ranks_stay_and_probabilities_are_still_those_of_the_draw() -> None:
    priorities = np.arange(100, 0, -1.0)
    selector = ranked(priorities, refresh=0.05, stratified=False)
    rng = np.random.default_rng(0)
    selector.sample(1, rng)
    selector.update(np.array([99]), np.array([1000.0]))
    selector.remove(np.array([0]))  # the last one, 99, takes its rank
    counts = np.zeros(100)
    for _ in range(400):
        places, probability = selector.sample(100, rng)
        np.testing.assert_array_equal(probability, selector.values(places) / selector.total)
        counts += np.bincount(places, minlength=100)
    order = [99, *range(1, 99)]
    expected = np.arange(1, 100) ** -0.7
    assert counts[0] == 0
    assert chi_square(counts[order], expected / expected.sum() * counts.sum()) < 4
    selector.update(np.arange(1, 6), np.arange(1, 6) * 1e-3)  # now more than 0.05 * 99 changes
    selector.sample(1, rng)
    ranks = selector.values(np.arange(1, 6)) ** (-1 / 0.7)
    np.testing.assert_allclose(ranks, [99, 98, 97, 96, 95], rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), capacity=st.integers(1, 9), refresh=st.sampled_from([0.0, 0.3, 1.0]))
def test_any_insertions_removals_and_updates(seed: int, capacity: int, refresh: float) -> None:
    """Against a plain dict of priorities: the same live items, the exact formula if sorted at every draw, a
    permutation of the ranks at any refresh; the order array wraps many times; a reload goes on alike."""
    rng = np.random.default_rng(seed)
    selector = RankBased(capacity, refresh=refresh)
    live: dict[int, float] = {}
    for _ in range(60):
        dead = sorted(set(range(capacity)) - set(live))
        new = rng.permutation(dead)[: rng.integers(len(dead) + 1)].astype(np.int64)
        selector.insert(new, new * 0)
        live |= dict.fromkeys(new.tolist(), selector.max_priority)
        gone = rng.permutation(sorted(live))[: rng.integers(len(live) + 1)].astype(np.int64)
        selector.remove(gone)
        for place in gone.tolist():
            del live[place]
        assert len(selector) == len(live)
        if not live:
            continue
        places = np.array(sorted(live))
        chosen = rng.choice(places, size=3)
        priorities = rng.exponential(size=3)
        selector.update(chosen, priorities)
        live |= dict(zip(chosen.tolist(), priorities.tolist(), strict=True))
        twin = RankBased(capacity, refresh=refresh)
        twin.load_state_dict(selector.state_dict())
        drawn, probability = selector.sample(20, np.random.default_rng(seed))
        again, same = twin.sample(20, np.random.default_rng(seed))
        assert again.tolist() == drawn.tolist()
        assert same.tolist() == probability.tolist()
        values = selector.values(places)
        np.testing.assert_allclose(np.sort(values)[::-1], np.arange(1, len(live) + 1) ** -0.7, rtol=1e-12)
        if refresh == 0.0:
            held = np.array([live[place] for place in places.tolist()])
            assert (np.diff(held[np.argsort(values, kind="stable")]) >= 0).all()


def test_constructors_say_what_is_wrong() -> None:
    for arguments, message in (
        ({"capacity": 0}, "capacity must be at least 1, got 0"),
        ({"capacity": 4, "alpha": 1.5}, r"alpha must be in \[0, 1\].*got 1.5"),
        ({"capacity": 4, "refresh": -0.1}, r"refresh must be in \[0, 1\].*got -0.1"),
    ):
        with pytest.raises(ValueError, match=message):
            RankBased(**arguments)  # type: ignore[arg-type]
