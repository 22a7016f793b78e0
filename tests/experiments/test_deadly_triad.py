"""The closed form of w -> 2w is what enumeration of whole memories gives, and the selectors draw by it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.replay import deadly_triad
from experiments.replay.deadly_triad import BATCH, METHODS, fill, grown, memory, rate, threshold

MIXED = np.array([False, True, True, False, True, False, False, True])  # oldest first


def expected_factor(first: np.ndarray, probability: np.ndarray, gamma: float, step: float) -> float:
    """What one update multiplies w with in expectation, transition by transition: semi-gradient TD(0) by hand."""
    w, mean = 1.0, 0.0
    for leaves_first, p in zip(first.tolist(), probability.tolist(), strict=True):
        feature, after = (1.0, 2.0) if leaves_first else (2.0, 2.0)
        error = 0.0 + gamma * (w * after) - w * feature
        mean += p * (w + step * error * feature)
    return mean


def drawn(name: str, first: np.ndarray, gamma: float) -> np.ndarray:
    """Probability of each transition [N] according to the selector itself, all priorities fresh."""
    replay, ids = fill(METHODS[name].make(len(first)), first)
    held = replay.get(ids).columns["feature"]
    replay.update_priorities(ids, 3.0 * np.abs(gamma * held[:, 1] - held[:, 0]))
    rng, chance = np.random.default_rng(0), {}
    for _ in range(40):  # batches: in all of them together is every transition
        batch = replay.sample(BATCH, rng)
        chance |= dict(zip(batch.ids.tolist(), batch.probability.tolist(), strict=True))
    return np.array([chance[i] for i in ids.tolist()])


@pytest.mark.parametrize("gamma", [0.6, 0.72, 0.8, 0.95])
@pytest.mark.parametrize("name", METHODS)
def test_selectors_draw_by_the_formula(name: str, gamma: float) -> None:
    """The probabilities that the replay answers are the docstring's, to 1e-12 for every transition."""
    values = METHODS[name].values(MIXED, gamma)
    found = drawn(name, MIXED, gamma)
    assert found.sum() == pytest.approx(1.0, abs=1e-12)
    if "rank" in name:  # among equals the ranks are nobody's in particular
        for kind in (MIXED, ~MIXED):
            np.testing.assert_allclose(
                np.sort(found[kind]), np.sort((values / values.sum())[kind]), atol=1e-12
            )
    else:
        np.testing.assert_allclose(found, values / values.sum(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].beta == 0.0])
def test_the_rate_is_the_enumerated_one(name: str) -> None:
    """The expected factor of w is 1 + step * rate, and its crossing of 1 is P1 (2 gamma - 1) = 4 (1 - gamma) P2."""
    for gamma in (0.55, 0.7, 0.8, 0.9, 0.99):
        probability = drawn(name, MIXED, gamma)
        factor = expected_factor(MIXED, probability, gamma, step=0.05)
        assert factor == pytest.approx(1 + 0.05 * rate(METHODS[name], MIXED, gamma), abs=1e-12)
        p1, p2 = probability[MIXED].sum(), probability[~MIXED].sum()
        assert (factor > 1) == (p1 * (2 * gamma - 1) > 4 * (1 - gamma) * p2)


def test_full_weights_bring_the_uniform_rate_back() -> None:
    """P * P^-1 is the same for all, so the rate is uniform's up to the common factor."""
    weighted, uniform = METHODS["alpha 1 with weights, beta 1"], METHODS["uniform"]
    for gamma in (0.6, 0.8, 0.9):
        values = weighted.values(MIXED, gamma)
        factor = len(MIXED) * (values / values.sum()).min()
        assert rate(weighted, MIXED, gamma) == pytest.approx(factor * rate(uniform, MIXED, gamma), abs=1e-12)
    assert threshold(weighted, MIXED) == pytest.approx(threshold(uniform, MIXED), abs=1e-9)


@pytest.mark.parametrize("name", ["uniform", "proportional, alpha 0.5", "proportional, alpha 1"])
@pytest.mark.parametrize("first", [6, 20, 40, 54])
def test_the_threshold_of_proportional_draws(name: str, first: int) -> None:
    """(n1 / n2) x^(1 + alpha) = 2 with x = (2 gamma - 1) / (2 - 2 gamma)."""
    alpha = {"uniform": 0.0, "proportional, alpha 0.5": 0.5, "proportional, alpha 1": 1.0}[name]
    x = (2 * (60 - first) / first) ** (1 / (1 + alpha))
    gamma = (1 + 2 * x) / (2 + 2 * x)
    assert threshold(METHODS[name], memory(first)) == pytest.approx(gamma, abs=1e-12)
    p1, p2 = first * (2 * gamma - 1) ** alpha, (60 - first) * (2 - 2 * gamma) ** alpha
    assert p1 * (2 * gamma - 1) == pytest.approx(4 * (1 - gamma) * p2, rel=1e-9)


def test_rank_jumps_where_the_errors_are_equal() -> None:
    """Above gamma = 3/4 the first transition has the larger error and takes the first ranks: with equal shares w
    grows from just there on."""
    assert threshold(METHODS["rank, alpha 0.7"], memory(30)) == pytest.approx(0.75, abs=1e-9)
    mass = np.arange(1, 61) ** -0.7
    p1 = mass[:30].sum() / mass.sum()
    assert rate(METHODS["rank, alpha 0.7"], memory(30), 0.8) == pytest.approx(p1 * 0.6 - 0.8 * (1 - p1))
    assert rate(METHODS["rank, alpha 0.7"], memory(30), 0.7) == pytest.approx((1 - p1) * 0.4 - 1.2 * p1)


def test_one_kind_of_transition_alone() -> None:
    """Only 1 -> 2: every update multiplies w with 1 + step (2 gamma - 1), whatever is drawn; only 2 -> 2: with
    1 - 4 step (1 - gamma)."""
    for name, method in METHODS.items():
        for first, update in ((np.ones(9, bool), 0.6), (np.zeros(9, bool), -0.8)):
            growth = grown(method, first, 0.8, 5, np.random.default_rng(0))
            exact = math.log1p(deadly_triad.STEP * update) / deadly_triad.STEP
            assert growth == pytest.approx(exact, abs=1e-9), name


@pytest.mark.parametrize("name", METHODS)
def test_no_gamma_is_tried_twice(name: str) -> None:
    """The gammas beside a threshold differ from those of the sweep, also in the CSV file's six digits."""
    middle = threshold(METHODS[name], memory(deadly_triad.SWEPT))
    beside = {f"{middle + sign * deadly_triad.MARGIN:.6g}" for sign in (-1, 1)}
    assert not beside & {f"{gamma:.6g}" for gamma in deadly_triad.GAMMAS["full"]}
