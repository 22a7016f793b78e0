"""The chain of the Blind Cliffwalk: its memory, its true values, and Q-learning on it.

Schaul et al. (2016), appendix B.1; for `cliffwalk.py`. A transition is its state and whether its
action was the right one. Q is linear in a weight for each state and, scaled by `bias`, a constant feature for
each action: 0 makes it tabular.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

STEP = 0.25  # appendix B.1
CONVERGED = 1e-3  # mean squared error over all Q values, appendix B.1
LEAST_GAIN = 1e-12  # of the loss, below which an update does not count as lowering it; ours

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def memory(n: int, rng: np.random.Generator) -> tuple[Ints, NDArray[np.bool_]]:
    """State [N] of every transition and whether its action was the right one [N], sequence after sequence."""
    sequences = rng.permutation(2**n)
    wrong = (sequences[:, None] >> np.arange(n)) & 1 == 0  # [2^n, n]
    right_steps = np.where(wrong.any(1), wrong.argmax(1), n)
    lengths = np.minimum(right_steps + 1, n)
    states = np.concatenate([np.arange(length) for length in lengths])
    return states, states < np.repeat(right_steps, lengths)


def truth(n: int) -> Floats:
    """Q of every state and (wrong, right) action [n, 2]: gamma to the number of steps before the reward."""
    values = np.zeros((n, 2))
    values[:, 1] = (1.0 - 1.0 / n) ** np.arange(n - 1, -1, -1)
    return values


@njit(cache=True)
def _q(theta, bias, state, right):
    """theta [2, n + 1]: one weight per state and one for the constant feature `bias`, for each action. The right
    action alternates."""
    action = (state + right) % 2
    return theta[action, state] + bias * theta[action, -1]


@njit(cache=True)
def _step(theta, bias, state, right):
    """One update from one transition; returns its error."""
    n = theta.shape[1] - 1
    target = 0.0
    if right and state == n - 1:
        target = 1.0
    elif right:
        target = (1.0 - 1.0 / n) * max(_q(theta, bias, state + 1, 0), _q(theta, bias, state + 1, 1))
    error = target - _q(theta, bias, state, right)
    action = (state + right) % 2
    theta[action, state] += STEP * error
    theta[action, n] += STEP * error * bias
    return error


@njit(cache=True)
def _loss(theta, bias, values):
    total = 0.0
    for state in range(len(values)):
        for right in range(2):
            total += (_q(theta, bias, state, right) - values[state, right]) ** 2
    return total / (2 * len(values))


@njit(cache=True)
def learn(theta, bias, states, right, values, errors):
    """Update from these transitions in turn until converged; fills `errors` and returns how many it took, and
    whether it has converged."""
    for i in range(len(states)):
        errors[i] = _step(theta, bias, states[i], int(right[i]))
        if _loss(theta, bias, values) < CONVERGED:
            return i + 1, True
    return len(states), False


@njit(cache=True)
def learn_with_oracle(theta, bias, values, most):
    """Always the transition after which the loss is least; returns the number of updates and after how many of
    them no update at all would have lowered the loss: then it is the transition with the largest error."""
    n = len(values)
    trapped = 0
    for count in range(most):
        before = _loss(theta, bias, values)
        if before < CONVERGED:
            return count, trapped
        best, best_loss, surprising, largest = 0, np.inf, 0, -1.0
        for kind in range(2 * n):
            tried = theta.copy()
            error = abs(_step(tried, bias, kind // 2, kind % 2))
            loss = _loss(tried, bias, values)
            if loss < best_loss:
                best, best_loss = kind, loss
            if error > largest:
                surprising, largest = kind, error
        if best_loss >= before - LEAST_GAIN:
            trapped += 1
            best = surprising
        _step(theta, bias, best // 2, best % 2)
    return most, trapped
