"""Laws of the intervals: they cover, they ignore order and scale, and they say when there is none."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

from r2d2.report import intervals
from r2d2.report.intervals import band, interval, iqm


def test_the_worked_numbers_hold() -> None:
    assert doctest.testmod(intervals) == (0, 4)


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    """With 30 seeds close to 95 %; an interval of standard deviations or of the wrong tail is far off."""
    rng = np.random.default_rng(0)
    covers = [low <= 2.0 <= high for _, low, high in (interval(rng.normal(2, 3, 30), k) for k in range(300))]
    assert 0.90 <= np.mean(covers) <= 0.98


def test_scale_and_shift_carry_over() -> None:
    values = np.random.default_rng(1).normal(size=8)
    np.testing.assert_allclose(interval(10 * values + 3), 10 * np.array(interval(values)) + 3)


def test_the_same_seed_gives_the_same_ends() -> None:
    values = np.random.default_rng(2).normal(size=8)
    assert interval(values, 5) == interval(values, 5)
    assert interval(values, 5) != interval(values, 6)


def test_tasks_are_resampled_apart() -> None:
    """The spread between tasks is no uncertainty: it must not widen the interval."""
    noise = np.random.default_rng(3).normal(size=(10, 2))
    near, far = interval(noise), interval(np.add(noise, [0, 1000]))
    assert far.high - far.low == pytest.approx(near.high - near.low)


def test_the_interquartile_mean_forgets_outliers() -> None:
    values = np.array([1.0, 1.0, 1.0, 1e6])
    assert iqm(values) == 1.0
    assert interval(values, statistic=iqm).mean == 1.0


def test_a_band_is_the_interval_of_each_point() -> None:
    curves = np.random.default_rng(4).normal(size=(5, 3))
    np.testing.assert_allclose(band(curves)[:, 1], interval(curves[:, 1]))
    assert np.isnan(band(curves[:1])[1:]).all()


def test_what_has_no_interval_is_refused_or_marked() -> None:
    assert math.isnan(interval([1.0]).low)
    with pytest.raises(ValueError, match="at least one seed"):
        interval([])
    with pytest.raises(ValueError, match="must be finite, got nan: leave failed runs out"):
        interval([1.0, math.nan])
