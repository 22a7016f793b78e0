"""The law of an alpha that changes: after it every probability is that of the formula with the new one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_selectors import chi_square, draws

from r2d2.replay import Proportional, RankBased

ALPHAS = (0.0, 0.3, 0.6, 1.0)
EPSILON = 0.01


def probabilities(selector: Proportional | RankBased, capacity: int) -> NDArray[np.float64]:
    """Of every place [capacity], as answered."""
    values = selector.values(np.arange(capacity))
    return values / values.sum()


def changing(kind: str, capacity: int, **arguments: Any) -> Proportional | RankBased:
    if kind == "rank":
        return RankBased(capacity, **({"refresh": 0.0} | arguments))
    return Proportional(capacity, epsilon=EPSILON, changing_alpha=True, **arguments)


def formula(kind: str, priorities: dict[int, float], alpha: float, capacity: int) -> NDArray[np.float64]:
    """By the definition, one item at a time; no two priorities are alike."""
    found = np.zeros(capacity)
    for place, mine in priorities.items():
        rank = 1 + sum(other > mine for other in priorities.values())
        found[place] = rank**-alpha if kind == "rank" else (mine + EPSILON) ** alpha
    return found / found.sum()


@pytest.mark.parametrize("kind", ["proportional", "rank"])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), capacity=st.integers(2, 40))
def test_every_probability_is_that_of_the_formula_after_each_change(
    kind: str, seed: int, capacity: int
) -> None:
    """Among insertions, removals and updates, alpha goes up and down and through 0; what was drawn was drawn
    with that probability; a selector made with another alpha goes on from the state alike."""
    rng = np.random.default_rng(seed)
    selector, live = changing(kind, capacity, alpha=0.6), {}
    for alpha in rng.choice(ALPHAS, 12):
        new = rng.permutation([place for place in range(capacity) if place not in live])[: rng.integers(1, 9)]
        selector.insert(new.astype(np.int64), np.zeros(len(new), np.int64))
        live |= dict.fromkeys(new.tolist(), 0.0)
        updated = rng.permutation(sorted(live)).astype(np.int64)
        given_priorities = rng.exponential(size=len(updated)) ** 3
        selector.update(updated, given_priorities)
        live = dict(zip(updated.tolist(), given_priorities.tolist(), strict=True))
        gone = rng.permutation(updated)[: rng.integers(len(updated))]
        selector.remove(gone)
        live = {place: live[place] for place in live if place not in gone.tolist()}
        selector.set_alpha(alpha)
        assert selector.alpha == alpha
        places, probability = selector.sample(50, np.random.default_rng(seed))
        expected = formula(kind, live, alpha, capacity)
        np.testing.assert_allclose(probabilities(selector, capacity), expected, rtol=1e-12)
        np.testing.assert_allclose(probability, expected[places], rtol=1e-12)
        assert selector.min_probability() == pytest.approx(expected[expected > 0].min(), rel=1e-12)
        twin = changing(kind, capacity, alpha=0.9)
        twin.load_state_dict(selector.state_dict())
        live[int(places[0])] = priority = rng.exponential()
        for change in (None, 0.45):
            for one in (selector, twin):
                one.update(places[:1], np.array([priority]))
                if change is not None:
                    one.set_alpha(change)
            again, same = (one.sample(50, np.random.default_rng(1)) for one in (selector, twin))
            assert again[0].tolist() == same[0].tolist()
            assert again[1].tolist() == same[1].tolist()


@pytest.mark.parametrize("kind", ["proportional", "rank"])
def test_counts_follow_the_new_alpha(kind: str) -> None:
    """They would not pass for the old one. A new item is at the front under either."""
    priorities = np.random.default_rng(3).exponential(size=40) ** 2
    selector = changing(kind, 41, alpha=1.0)
    selector.insert(np.arange(40), np.zeros(40, np.int64))
    selector.update(np.arange(40), priorities)
    selector.set_alpha(0.4)
    held = dict(enumerate(priorities.tolist()))
    counts = draws(selector, 41, batches=400, size=100)[:40]
    assert chi_square(counts, formula(kind, held, 0.4, 40) * counts.sum()) < 4
    assert chi_square(counts, formula(kind, held, 1.0, 40) * counts.sum()) > 10
    selector.insert(np.array([40]), np.array([0]))
    selector.sample(1, np.random.default_rng(0))
    values = selector.values(np.arange(41))
    assert values[40] == pytest.approx(values.max(), rel=1e-12)
    selector.set_alpha(0.8)
    values = selector.values(np.arange(41))
    front = 1.0 if kind == "rank" else (priorities.max() + EPSILON) ** 0.8
    assert values[40] == pytest.approx(front, rel=1e-12)


def test_a_hundred_stages_leave_no_trace() -> None:
    """Through 0 and back, bit for bit: powers are made of priorities, never of powers."""
    priorities = np.random.default_rng(5).exponential(size=1000) ** 8
    selector = Proportional(1000, alpha=0.7, changing_alpha=True)
    selector.insert(np.arange(1000), np.zeros(1000, np.int64))
    selector.update(np.arange(1000), priorities)
    before = selector.values(np.arange(1000)).copy()
    for stage in range(101):
        selector.set_alpha(0.7 * abs(50 - stage) / 50)
    assert selector.alpha == 0.7
    assert selector.values(np.arange(1000)).tolist() == before.tolist()


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"alpha is fixed.*changing_alpha=True"):
        Proportional(4).set_alpha(0.5)
    for kind in ("proportional", "rank"):
        selector = changing(kind, 4, alpha=0.5)
        with pytest.raises(ValueError, match=r"alpha must be in \[0, 1\].*got 1.5"):
            selector.set_alpha(1.5)
        assert selector.alpha == 0.5


def test_priorities_are_kept_only_where_alpha_changes() -> None:
    assert Proportional(1000, changing_alpha=True).nbytes == Proportional(1000).nbytes + 8000
    assert "priority" not in Proportional(10).state_dict()


@pytest.mark.parametrize("make", [Proportional, RankBased])
def test_a_state_from_before_alpha_could_change_keeps_its_own(make: Any) -> None:
    state = make(4, alpha=0.3).state_dict()
    del state["alpha"]
    selector = make(4, alpha=0.3)
    selector.load_state_dict(state)
    assert selector.alpha == 0.3
