"""CartPole without its velocities: one observation does not show where it is going."""

from __future__ import annotations

import math

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from r2d2.envs.memory.task import Outcome, check_flag, check_whole

# Barto, Sutton & Anderson 1983 as in gymnasium's CartPole-v1: meters, kilograms, seconds, radians.
GRAVITY, CART, POLE, HALF_LENGTH, FORCE, TAU = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
MAX_POSITION, MAX_ANGLE = 2.4, 12 * 2 * math.pi / 360
START = 0.05  # each number of the state starts uniform in -START .. START
MAX_STEPS = 1_000_000  # ours


def cartpole_step(state: NDArray[np.float64], action: NDArray[np.int64]) -> NDArray[np.float64]:
    """The state [4, N] (position, its velocity, angle, its velocity) one Euler step of 0.02 s later.

    Action 1 pushes to the right, any other one to the left.

    >>> cartpole_step(np.zeros((4, 1)), np.array([1])).ravel().round(4).tolist()
    [0.0, 0.1951, 0.0, -0.2927]
    """
    position, velocity, angle, turning = state
    total, moment = CART + POLE, POLE * HALF_LENGTH
    force = np.where(action == 1, FORCE, -FORCE)
    cosine, sine = np.cos(angle), np.sin(angle)
    push = (force + moment * np.square(turning) * sine) / total
    twist = (GRAVITY * sine - cosine * push) / (HALF_LENGTH * (4.0 / 3.0 - POLE * np.square(cosine) / total))
    speed = push - moment * twist * cosine / total
    return np.stack(
        [position + TAU * velocity, velocity + TAU * speed, angle + TAU * turning, turning + TAU * twist]
    )


class MaskedCartPole:
    """Balance a pole on a cart from position and angle alone; the velocities must be inferred.

    Its dynamics and, with the same seed, its episodes are those of gymnasium's CartPole-v1.
    Observation: position in meters, angle in radians, float32 [2]; with `velocities` all four numbers, as
    CartPole-v1 shows them. Actions: 0 pushes left, 1 pushes right.
    Reward: 1 a step, the one that drops the pole included. The episode ends when the angle leaves 12 degrees
    or the position 2.4 meters; after `steps` steps it is truncated.

    Solving it takes the observation of one step before: two of them give the velocities. The best return is
    `steps` (500). Without memory a push can only depend on where cart and pole are, which pumps energy into
    the swing: the best such policies found last 46 steps, and about 120 if they see their previous action
    too, a trace of one bit (found by search, not proven). A stack of frames is memory as well: set
    `network.stack` to 1 to ask the core for it.
    """

    def __init__(self, num_envs: int, *, velocities: float = 0, steps: int = 500) -> None:
        shown = check_flag("velocities", velocities)
        self.max_episode_steps = check_whole("steps", steps, 1, MAX_STEPS, "CartPole-v1 has 500")
        self.num_actions = 2
        bounds = np.array([2 * MAX_POSITION, np.inf, 2 * MAX_ANGLE, np.inf], dtype=np.float32)
        self._shown = slice(None) if shown else slice(0, None, 2)
        self.space = Box(-bounds[self._shown], bounds[self._shown], dtype=np.float32)
        self._state = np.zeros((4, num_envs))  # position, its velocity, angle, its velocity
        self._time = np.zeros(num_envs, dtype=np.int64)  # [N] steps into the episode

    def begin(self, slot: int, rng: np.random.Generator) -> None:
        """Draws a start near the upright."""
        self._state[:, slot] = rng.uniform(-START, START, size=4)
        self._time[slot] = 0

    def act(self, action: NDArray[np.int64]) -> Outcome:
        """Pushes the cart."""
        self._state = cartpole_step(self._state, action)
        self._time += 1
        fell = (np.abs(self._state[0]) > MAX_POSITION) | (np.abs(self._state[2]) > MAX_ANGLE)
        return Outcome(
            np.ones(len(fell), dtype=np.float32), fell, ~fell & (self._time >= self.max_episode_steps)
        )

    def observe(self) -> NDArray[np.float32]:
        """Positions, or the whole state, [N, 2 or 4]."""
        return np.ascontiguousarray(self._state[self._shown].T, dtype=np.float32)
