"""The law of schedules: a straight line, then a constant."""

from __future__ import annotations

import pytest

from r2d2.build.agents import linear


@pytest.mark.parametrize(("step", "expected"), [(0, 1.0), (25, 0.775), (100, 0.1), (10**9, 0.1)])
def test_linear(step: int, expected: float) -> None:
    assert linear(step, start=1.0, end=0.1, steps=100) == pytest.approx(expected)


def test_without_steps_it_is_at_its_end() -> None:
    assert linear(0, start=0.4, end=1.0, steps=0) == 1.0
