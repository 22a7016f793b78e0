"""DQN with one hidden layer in numpy, as in the bit-flipping experiment, small enough for runs of seconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

DISCOUNT, RATE, POLYAK = 0.98, 1e-3, 0.95  # Andrychowicz et al. 2017, appendix A
LOWEST = -1.0 / (1.0 - DISCOUNT)  # of a return of rewards -1 and 0
BETAS, EPSILON = (0.9, 0.999), 1e-8  # Adam's own


class GoalDQN:
    """Q values [K, A] of inputs [K, D], with a target network and Adam."""

    def __init__(self, inputs: int, hidden: int, actions: int, rng: np.random.Generator) -> None:
        def layer(rows: int, columns: int) -> Floats:  # as torch draws a linear layer
            return rng.uniform(-1.0, 1.0, (rows, columns)).astype(np.float32) / np.float32(np.sqrt(rows))

        self.weights = [layer(inputs, hidden), np.zeros(hidden, np.float32), layer(hidden, actions),
                        np.zeros(actions, np.float32)]  # fmt: skip
        self.target = [w.copy() for w in self.weights]
        self._moments = [(np.zeros_like(w), np.zeros_like(w)) for w in self.weights]
        self.updates = 0

    def values(self, x: Floats) -> Floats:
        """Q values of the online network."""
        return _forward(self.weights, x)[1]

    def update(self, x: Floats, action: Ints, reward: Floats, over: NDArray[np.bool_], after: Floats) -> None:
        """One step of Adam on half the mean squared error of a batch; targets are clipped."""
        best = _forward(self.target, after)[1].max(1)
        target = np.clip(reward + DISCOUNT * (1.0 - over) * best, LOWEST, 0.0).astype(np.float32)
        hidden, q = _forward(self.weights, x)
        rows = np.arange(len(x))
        slope = np.zeros_like(q)
        slope[rows, action] = (q[rows, action] - target) / len(x)
        back = (slope @ self.weights[2].T) * (hidden > 0)
        self.updates += 1
        size = RATE * np.sqrt(1.0 - BETAS[1] ** self.updates) / (1.0 - BETAS[0] ** self.updates)
        slopes = (x.T @ back, back.sum(0), hidden.T @ slope, slope.sum(0))
        for w, gradient, (first, second) in zip(self.weights, slopes, self._moments, strict=True):
            first += (1.0 - BETAS[0]) * (gradient - first)
            second += (1.0 - BETAS[1]) * (gradient * gradient - second)
            w -= np.float32(size) * first / (np.sqrt(second) + np.float32(EPSILON))

    def follow(self) -> None:
        """Move the target network toward the online network."""
        for slow, fast in zip(self.target, self.weights, strict=True):
            slow += np.float32(1.0 - POLYAK) * (fast - slow)


def _forward(weights: list[Floats], x: Floats) -> tuple[Floats, Floats]:
    """Hidden units [K, H] and Q values [K, A]."""
    hidden = np.maximum(x @ weights[0] + weights[1], np.float32(0))
    return hidden, hidden @ weights[2] + weights[3]
