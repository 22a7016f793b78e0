"""The law of the limiter: trained steps per environment step, never more than are due."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r2d2.replay import RateLimiter


def test_by_hand() -> None:
    """Ratio 2 after 10 steps: 3 more steps entitle to 6 trained steps."""
    limiter = RateLimiter(2.0, min_steps=10, slack=8)
    assert limiter.can_insert(10)
    assert not limiter.can_sample(1)
    limiter.insert(10)
    assert not limiter.can_sample(1)
    limiter.insert(3)
    assert limiter.can_sample(6)
    assert not limiter.can_sample(7)
    assert limiter.can_insert(1)
    assert not limiter.can_insert(2)
    limiter.sample(5)
    assert limiter.measured_ratio == pytest.approx(5 / 3)
    assert not limiter.can_sample(2)
    assert limiter.can_insert(3)
    assert not limiter.can_insert(4)


@settings(max_examples=50, deadline=None)
@given(
    ratio=st.floats(0.01, 10),
    min_steps=st.integers(1, 50),
    batch=st.integers(1, 30),
    insert=st.integers(1, 7),
)
def test_a_run_that_obeys_it_has_the_ratio(ratio: float, min_steps: int, batch: int, insert: int) -> None:
    """At any time: trained <= ratio * (steps - min_steps), and less than a batch behind it."""
    limiter = RateLimiter(ratio, min_steps=min_steps)
    for _ in range(200):
        limiter.insert(insert)
        while limiter.can_sample(batch):
            limiter.sample(batch)
        due = ratio * (limiter.inserted - min_steps)
        assert limiter.trained <= max(0.0, due) + 1e-9
        assert due - limiter.trained < batch + 1e-9
    assert limiter.measured_ratio <= ratio + 1e-9


@settings(max_examples=50, deadline=None)
@given(ratio=st.floats(0.1, 10), batch=st.integers(1, 30), insert=st.integers(1, 7))
def test_neither_side_waits_for_ever(ratio: float, batch: int, insert: int) -> None:
    """With a slack of a batch and an insert's worth, always one of the two may go on."""
    slack = batch + ratio * insert
    limiter = RateLimiter(ratio, min_steps=5, slack=slack)
    for _ in range(300):
        if limiter.can_insert(insert):
            limiter.insert(insert)
            assert ratio * (limiter.inserted - 5) - limiter.trained <= slack + 1e-6
        else:
            assert limiter.can_sample(batch)
            limiter.sample(batch)


def test_a_reloaded_limiter_goes_on() -> None:
    """No burst of updates after a resume: both counts are part of the state."""
    first, second = RateLimiter(1.0, min_steps=1), RateLimiter(1.0, min_steps=1)
    first.insert(100)
    first.sample(95)
    second.load_state_dict(first.state_dict())
    assert second.can_sample(4)
    assert not second.can_sample(5)
    assert second.measured_ratio == first.measured_ratio == 95 / 99
    assert RateLimiter(1.0, min_steps=1).measured_ratio == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"replay_ratio": 0.0, "min_steps": 1},
            "ratio must be above 0 trained steps per environment step, got 0.0",
        ),
        ({"replay_ratio": 1.0, "min_steps": 0}, "min_steps must be at least 1, got 0"),
        ({"replay_ratio": 1.0, "min_steps": 1, "slack": 0.0}, "slack must be above 0 trained steps, got 0.0"),
    ],
)
def test_constructor_says_what_is_wrong(arguments: dict[str, float], message: str) -> None:
    assert math.isinf(RateLimiter(1.0, min_steps=1).slack)
    with pytest.raises(ValueError, match=message):
        RateLimiter(**arguments)  # type: ignore[arg-type]
