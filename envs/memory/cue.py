"""Cue: a number is shown first and must be given back, as an action, much later."""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from r2d2.envs.memory.task import Outcome, check_number, check_whole

MAX_DELAY = 1_000_000  # ours


class Cue:
    """See a number from -1 to 1, keep still for `delay` steps, then give the number back.

    Observation, float32 [3]: the number, 0 after the first step; 1 at the first step; 1 at the last step, when it
    is asked for. Action: [1], -1 to 1. Reward: -`cost` |action| at every step but the last, where it is
    1 - 2 |action - number|. Every episode has `delay` + 2 steps.

    Solving it takes one number, kept for `delay` + 1 steps. The best return is 1; without memory 0 is the optimum:
    always give 0. An agent that sees its previous action can keep the number there, which costs `cost` a step.
    """

    num_actions = 0

    def __init__(self, num_envs: int, *, delay: int = 20, cost: float = 0.1) -> None:
        self.delay = check_whole("delay", delay, 0, MAX_DELAY, "it counts steps before the question")
        self.cost = check_number("cost", cost, 0.0, 100.0, "it is paid for each step's action")
        self.action_space = Box(-1.0, 1.0, (1,), np.float32)
        self.space = Box(np.array([-1, 0, 0], np.float32), np.ones(3, np.float32), dtype=np.float32)
        self.max_episode_steps = self.delay + 2
        self.number = np.zeros(num_envs)  # [N] that is to be remembered
        self._time = np.zeros(num_envs, dtype=np.int64)  # [N] steps into the episode

    def begin(self, slot: int, rng: np.random.Generator) -> None:
        """Draws the number."""
        self.number[slot] = rng.uniform(-1.0, 1.0)
        self._time[slot] = 0

    def act(self, action: NDArray[np.float32]) -> Outcome:
        """Keeps still, or answers at the last step."""
        given = np.asarray(action, np.float64)[:, 0]
        last = self._time >= self.delay + 1
        self._time += 1
        reward = np.where(last, 1.0 - 2.0 * np.abs(given - self.number), -self.cost * np.abs(given))
        return Outcome(reward.astype(np.float32), last, np.zeros(len(last), dtype=np.bool_))

    def observe(self) -> NDArray[np.float32]:
        """Number and flags, [N, 3]; after the end nothing but zeros."""
        first, asked = self._time == 0, self._time == self.delay + 1
        return np.stack([np.where(first, self.number, 0.0), first, asked], axis=1, dtype=np.float32)
