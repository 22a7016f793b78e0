"""The law of combined replay: each stream's newest item is in each batch, and P is the expected share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_selectors import chi_square

from r2d2.replay import Combined, Proportional, RankBased, Recency, Selector, Uniform

INNER: dict[str, Callable[[int], Selector]] = {
    "uniform": Uniform,
    "proportional": lambda capacity: Proportional(capacity, alpha=1.0, epsilon=0.0),
    "rank": lambda capacity: RankBased(capacity, refresh=0.0),
    "recency": lambda capacity: Recency(capacity, decay=0.1),
}


@pytest.mark.parametrize("inner", INNER)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), streams=st.integers(1, 4), newest=st.integers(1, 3))
def test_the_newest_held_items_of_every_stream_are_in_each_batch(
    inner: str, seed: int, streams: int, newest: int
) -> None:
    """Under any insertions and removals, the newest one's too; a reload goes on alike."""
    capacity = 12
    rng = np.random.default_rng(seed)
    selector = Combined(INNER[inner](capacity), capacity=capacity, streams=streams, newest=newest)
    chains: list[list[int]] = [[] for _ in range(streams)]
    for _ in range(30):
        live = sorted(place for chain in chains for place in chain)
        dead = sorted(set(range(capacity)) - set(live))
        new = rng.permutation(dead)[: rng.integers(len(dead) + 1)].astype(np.int64)
        of = rng.integers(streams, size=len(new))
        selector.insert(new, of)
        for place, stream in zip(new.tolist(), of.tolist(), strict=True):
            chains[stream].append(place)
        live = sorted(place for chain in chains for place in chain)
        gone = rng.permutation(live)[: rng.integers(len(live) + 1)].astype(np.int64)
        selector.remove(gone)
        chains = [[place for place in chain if place not in gone] for chain in chains]
        live = sorted(place for chain in chains for place in chain)
        assert len(selector) == len(live)
        if not live:
            continue
        selector.update(np.array(live), rng.exponential(size=len(live)))
        n = streams * newest + 3
        twin = Combined(INNER[inner](capacity), capacity=capacity, streams=streams, newest=newest)
        twin.load_state_dict(selector.state_dict())
        places, probability = selector.sample(n, np.random.default_rng(seed))
        again, same = twin.sample(n, np.random.default_rng(seed))
        assert again.tolist() == places.tolist()
        assert same.tolist() == probability.tolist()
        wanted = [place for chain in chains for place in chain[::-1][:newest]]
        assert places[: len(wanted)].tolist() == wanted
        assert set(places.tolist()) <= set(live)
        values = selector.values(np.array(live))
        share = dict(zip(live, values / values.sum(), strict=True))
        expected = [((place in wanted) + (n - len(wanted)) * share[place]) / n for place in places.tolist()]
        np.testing.assert_allclose(probability, expected, rtol=1e-9)


@pytest.mark.parametrize("inner", INNER)
def test_the_probability_is_the_share_of_the_batch_that_comes_out(inner: str) -> None:
    """Counted over many batches; the draws of the rest would not pass if the priorities were ignored."""
    selector = Combined(INNER[inner](20), capacity=20, streams=3)
    places = np.random.default_rng(2).permutation(20)
    selector.insert(places, places % 3)
    selector.update(places, np.random.default_rng(1).exponential(size=20))
    rng, answered = np.random.default_rng(0), np.full(20, np.nan)
    counts = np.zeros(20)
    for _ in range(4000):
        drawn, probability = selector.sample(8, rng)
        counts += np.bincount(drawn, minlength=20)
        answered[drawn] = probability
    assert answered.sum() == pytest.approx(1.0, rel=1e-9)
    newest = np.array([places[places % 3 == stream][-1] for stream in range(3)])
    assert (answered[newest] > 1 / 8).all()
    rest_counts, rest_expected = counts.copy(), 8 * 4000 * answered
    rest_counts[newest] -= 4000  # these are there every time
    rest_expected[newest] -= 4000
    assert chi_square(rest_counts, rest_expected) < 4
    if inner != "uniform":
        assert chi_square(rest_counts, np.full(20, 5 * 4000 / 20)) > 10


def test_with_beta_one_the_weighted_batch_is_unbiased() -> None:
    """The mean over batches of the sum of f / (N P) is n times the plain mean of f."""
    selector = Combined(INNER["proportional"](10), capacity=10, streams=2)
    places = np.arange(10)
    selector.insert(places, places % 2)
    selector.update(places, np.arange(1.0, 11.0))
    f, rng = np.random.default_rng(3).normal(size=10), np.random.default_rng(0)
    sums = []
    for _ in range(5000):
        drawn, probability = selector.sample(5, rng)
        sums.append((f[drawn] / (10 * probability)).sum() / 5)
    assert abs(np.mean(sums) - f.mean()) < 4 * np.std(sums) / np.sqrt(len(sums))


def test_a_batch_without_room_is_refused_from_the_first_draw_on() -> None:
    selector = Combined(Uniform(8), capacity=8, streams=4)
    selector.insert(np.array([0]), np.array([2]))
    with pytest.raises(
        ValueError, match=r"n must be at least 5 \(newest=1 for each of 4 streams.*got 4.*batch"
    ):
        selector.sample(4, np.random.default_rng(0))
    places, probability = selector.sample(5, np.random.default_rng(0))
    assert places.tolist() == [0] * 5
    assert probability.tolist() == [1.0] * 5
    for name in ("capacity", "streams", "newest"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            Combined(Uniform(8), **({"capacity": 8, "streams": 4, "newest": 1} | {name: 0}))
