"""What a batch is expected to hold is what cohorts of items, followed update by update, come to."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.replay.apex_priorities import (
    ALPHA,
    BATCH,
    DECADES,
    METHODS,
    TOP,
    expected,
    measured,
    moments,
)


def followed(capacity: int, inserts: int, updates: int) -> tuple[float, float]:
    """Share of the top and mean age under the maximum: the numbers of items by age and by whether they have been
    replayed, moved on by one update at a time from an empty memory."""
    u = (np.arange(200_000) + 0.5) / 200_000
    powers = 10.0 ** (-DECADES * ALPHA * u)
    mean, top = powers.mean(), (powers * (u < TOP)).mean()
    new, seen = np.zeros(capacity // inserts), np.zeros(capacity // inserts)  # items [age]
    for _ in range(updates):
        new, seen = np.roll(new, 1), np.roll(seen, 1)
        new[0], seen[0] = inserts, 0.0
        mass = new + mean * seen
        share = (TOP * new + top * seen).sum() / mass.sum()
        age = (np.arange(len(new)) * mass).sum() / mass.sum()
        replayed = new * BATCH / mass.sum()
        new, seen = new - replayed, seen + replayed
    return float(share), float(age)


@pytest.mark.parametrize(
    ("capacity", "inserts"), [(1024, 4), (4096, 8), (4096, 64), (4096, 256), (4096, 512)]
)
def test_the_expectation_is_the_steady_state(capacity: int, inserts: int) -> None:
    found = followed(capacity, inserts, updates=8 * capacity // inserts)
    assert expected("maximum", capacity, inserts) == pytest.approx(found, rel=1e-6)


def test_moments_are_those_of_the_errors() -> None:
    """The draws of the study, 10^(-3 u), and their largest tenth."""
    errors = 10.0 ** (-DECADES * (np.arange(1_000_000) + 0.5) / 1_000_000)
    powers = errors**ALPHA
    large = errors >= np.quantile(errors, 1 - TOP)
    assert moments() == pytest.approx((powers.mean(), (powers * large).mean()), rel=1e-5)


def test_the_ends() -> None:
    """Replaced before it is ever replayed, the maximum is uniform; with few inserts it is what actors give."""
    assert expected("maximum", 4096, 4096) == pytest.approx(expected("uniform", 4096, 4096))
    few, actor = expected("maximum", 1 << 20, 1), expected("actor", 1 << 20, 1)
    assert few == pytest.approx(actor, rel=0.02)
    shares = [expected("maximum", 4096, k)[0] for k in (4, 8, 16, 32, 64, 128, 256, 512)]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("method", METHODS)
def test_measured_is_expected(method: str) -> None:
    """At a size of its own, over 300 updates; four standard errors are about 0.013."""
    share, age = measured(method, 512, 32, 1.0, 300, np.random.default_rng(5))
    wanted_share, wanted_age = expected(method, 512, 32)
    assert share == pytest.approx(wanted_share, abs=0.02)
    assert age == pytest.approx(wanted_age, rel=0.05)


def test_learned_errors_leave_the_top() -> None:
    """With few inserts, errors that halve at each replay are spread more evenly than errors that stay, and a batch
    still holds more of the top than a uniform one: else nothing would be left of the method."""
    share = {
        (method, left): measured(method, 512, 2, left, 200, np.random.default_rng(1))[0]
        for method in ("uniform", "actor")
        for left in (1.0, 0.5)
    }
    assert share["actor", 0.5] > 2 * share["uniform", 0.5]
    assert share["uniform", 0.5] == pytest.approx(TOP, abs=0.02)
    assert share["uniform", 1.0] == pytest.approx(TOP, abs=0.02)
