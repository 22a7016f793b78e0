"""The Blind Cliffwalk is the paper's, and its oracle arrives."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from experiments.replay import chain
from experiments.replay.chain import learn_with_oracle, memory, truth
from experiments.replay.cliffwalk import ORACLE_PATIENCE, SCALE, updates


@pytest.mark.parametrize("n", [2, 3, 7])
def test_the_memory_holds_every_sequence_up_to_its_end(n: int) -> None:
    """As a multiset of transitions: 2^(n+1) - 2 of them, one rewarded."""
    states, right = memory(n, np.random.default_rng(0))
    by_hand = []
    for sequence in product((False, True), repeat=n):
        for state, is_right in enumerate(sequence):
            by_hand.append((state, is_right))
            if not is_right:
                break
    assert sorted(zip(states.tolist(), right.tolist(), strict=True)) == sorted(by_hand)
    assert len(states) == 2 ** (n + 1) - 2
    assert int((right & (states == n - 1)).sum()) == 1


@pytest.mark.parametrize("n", [2, 5, 16])
def test_no_update_changes_true_values(n: int) -> None:
    """They are the fixed point of Q-learning: every transition has error 0, so the loss stays 0."""
    theta = np.zeros((2, n + 1))
    for state, right in product(range(n), range(2)):
        theta[(state + right) % 2, state] = truth(n)[state, right]
    for state, right in product(range(n), range(2)):
        assert chain._step(theta.copy(), 0.0, state, right) == pytest.approx(0.0, abs=1e-15)
    assert chain._loss(theta, 0.0, truth(n)) == 0.0


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("n", [4, 8, 12])
def test_the_oracle_arrives(n: int, linear: bool) -> None:
    """In all of ten runs, with linear Q too, where it meets points at which no update lowers the loss."""
    found = [updates("oracle", linear, n, np.random.default_rng([seed, n])) for seed in range(10)]
    assert all(converged for _, converged, _ in found)
    assert max(count for count, _, _ in found) < ORACLE_PATIENCE / 5
    assert any(trapped for _, _, trapped in found) == (linear and n >= 8)


def test_the_trap_is_one() -> None:
    """Where the oracle counts itself trapped, no transition lowers the loss, and it takes the largest error."""
    n, traps = 10, 0
    theta = np.random.default_rng(3).normal(0.0, SCALE, (2, n + 1))
    for _ in range(1000):
        before = chain._loss(theta, 1.0, truth(n))
        tried, errors = [], []
        for state, right in product(range(n), range(2)):
            after = theta.copy()
            errors.append(abs(chain._step(after, 1.0, state, right)))
            tried.append(after)
        losses = [chain._loss(after, 1.0, truth(n)) for after in tried]
        caught = min(losses) >= before - chain.LEAST_GAIN
        _, trapped = learn_with_oracle(theta, 1.0, truth(n), 1)  # one update, in place
        assert trapped == caught
        np.testing.assert_array_equal(theta, tried[int(np.argmax(errors) if caught else np.argmin(losses))])
        traps += trapped
        if chain._loss(theta, 1.0, truth(n)) < chain.CONVERGED:
            break
    assert traps > 0
