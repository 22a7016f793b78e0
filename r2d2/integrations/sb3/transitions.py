"""Transitions: samples before their conversion to SB3's, and n-step returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.type_aliases import DictReplayBufferSamples, ReplayBufferSamples

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Samples = ReplayBufferSamples | DictReplayBufferSamples


class Learner(Protocol):
    """What prioritized draws need from the training loop, as `PrioritizedLoss`."""

    @property
    def beta(self) -> float:
        """The current exponent of the importance weights."""

    def drawn(self, samples: Samples, ids: Ints, weight: Floats) -> None:
        """Called with each batch that is returned to SB3: items [B] and their importance weights [B]."""


@dataclass(frozen=True)
class Drawn:
    """B transitions by their positions in SB3's buffer."""

    slots: Ints  # [B]
    envs: Ints  # [B]
    weight: Floats  # [B] importance weight, largest 1

    def take(self, order: Ints) -> Drawn:
        """The transitions at these indices, in this order."""
        return Drawn(self.slots[order], self.envs[order], self.weight[order])


@dataclass(frozen=True)
class Transitions:
    """B transitions of up to n steps, as they were stored. Observations are by key, empty if there are no keys."""

    before: dict[str, NDArray]  # [B, ...]
    action: NDArray  # [B, A]
    after: dict[str, NDArray]  # [B, ...] observation after the last step
    rewards: Floats  # [B, n], of which the first `length` count
    length: Ints  # [B] steps, 1..n
    done: Floats  # [B] 1 where the last step terminated the episode
    ids: Ints  # [B, n] the item of each step, the last one repeated


def n_step_return(rewards: Floats, length: Ints, gamma: float) -> tuple[Floats, Floats]:
    """Sum of gamma^k r_k over the first `length` [B] of rewards [B, n], and gamma^length: both [B, 1].

    >>> [x.tolist() for x in n_step_return(np.array([[1, 2, 4]], np.float32), np.array([2]), 0.5)]
    [[[2.0]], [[0.25]]]
    """
    steps = np.arange(rewards.shape[1])
    valid = steps[None] < length[:, None]
    discounts = gamma ** steps.astype(np.float32)
    returns = (rewards * discounts[None] * valid).sum(1, keepdims=True)
    return returns, gamma ** length.astype(np.float32)[:, None]
