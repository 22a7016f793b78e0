"""MemoryChain: bits are shown first, one of them is asked for at the end (bsuite's memory length and size)."""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from r2d2.envs.memory.task import Outcome, check_whole

MAX_LENGTH = 1_000_000  # ours
MAX_BITS = 1_000  # ours: one input each; bsuite goes up to 50


class MemoryChain:
    """Read `bits` random bits at the first step, and name the one that is asked for `length` steps later.

    The stylized T-maze of bsuite (Osband et al. 2020): experiment "memory_len" with one bit, "memory_size" with
    more bits and a length of 2. Observation, float32 [2 + bits]: the share of time left, from 1 to 0; the number of
    the bit that is asked for, 0 before the last step; the bits as -1 and 1, 0 after the first step.
    Actions: 2. Reward: 1 if the last action equals the bit, -1 if not, 0 before. Every episode has `length` + 1
    steps, as in bsuite; bsuite's code shows the bits at the second step too, and the time one step behind.

    Solving it takes the bits, kept for `length` steps. The best return is 1; without memory 0 is the optimum, a
    guess. Unlike in Recall, the actions before the question are free: an agent that sees its previous action can
    encode one bit in it, and so earn 1 without memory. `r2d2 evaluate --memory` tells the two apart.
    """

    def __init__(self, num_envs: int, *, length: int = 40, bits: int = 1) -> None:
        self.length = check_whole("length", length, 1, MAX_LENGTH, "it counts steps")
        self.bits = check_whole("bits", bits, 1, MAX_BITS, "without a bit there is nothing to remember")
        self.num_actions = 2
        self.max_episode_steps = self.length + 1
        low = np.array([0.0, 0.0, *[-1.0] * self.bits], np.float32)
        high = np.array([1.0, max(1, self.bits - 1), *[1.0] * self.bits], np.float32)
        self.space = Box(low, high, dtype=np.float32)
        self.shown = np.zeros((num_envs, self.bits), dtype=np.int64)  # [N, bits] what is to be remembered
        self.asked = np.zeros(num_envs, dtype=np.int64)  # [N] which of them
        self._time = np.zeros(num_envs, dtype=np.int64)  # [N] steps into the episode
        self._rows = np.arange(num_envs)

    def begin(self, slot: int, rng: np.random.Generator) -> None:
        """Draws the bits and the question."""
        self.shown[slot] = rng.integers(2, size=self.bits)
        self.asked[slot] = rng.integers(self.bits)
        self._time[slot] = 0

    def act(self, action: NDArray[np.int64]) -> Outcome:
        """Answers at the last step; before it, any action will do."""
        last = self._time >= self.length
        right = action == self.shown[self._rows, self.asked]
        self._time += 1
        reward = np.where(last, np.where(right, np.float32(1.0), np.float32(-1.0)), np.float32(0.0))
        return Outcome(reward, last, np.zeros(len(last), dtype=np.bool_))

    def observe(self) -> NDArray[np.float32]:
        """Time left, question and bits, [N, 2 + bits]; after the end nothing but zeros."""
        first, last = self._time == 0, self._time == self.length
        left = np.clip(1.0 - self._time / self.length, 0.0, 1.0)
        bits = np.where(first[:, None], 2 * self.shown - 1, 0)
        return np.concatenate([left[:, None], (last * self.asked)[:, None], bits], axis=1, dtype=np.float32)
