"""Pendulum without its velocity, with discrete or continuous torques."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from r2d2.envs.memory.cartpole import MAX_STEPS
from r2d2.envs.memory.task import Outcome, check_flag, check_number, check_whole
from r2d2.envs.vector import EnvError

# Gymnasium's Pendulum-v1: meters, kilograms, seconds, radians.
GRAVITY, MASS, LENGTH, TAU = 10.0, 1.0, 1.0, 0.05
MAX_TORQUE, MAX_SPEED = 2.0, 8.0
START = np.array([math.pi, 1.0])  # the state starts uniform in -START .. START
MAX_TORQUES = 101  # ours
MAX_NOISE = 10.0  # ours


class MaskedPendulum:
    """Swing a pendulum up and hold it there, seeing its angle alone; the velocity must be inferred.

    The dynamics and, with the same seed, the starts are those of Gymnasium's Pendulum-v1; action k of `torques`
    is the torque -2 + 4 k / (torques - 1) Nm. With `torques` 0 (MaskedPendulumContinuous-v0) the action is the
    torque itself, -2 to 2. Observation: cosine and sine of the angle, float32 [2]; with `velocities` also the
    velocity, as Pendulum-v1 shows them. `noise` is the standard deviation of what is added to each of them.
    Reward: -(angle^2 + 0.1 velocity^2 + 0.001 torque^2) with the angle from the upright in -pi .. pi. After
    `steps` steps the episode is truncated.

    Solving it takes the observation of one step before. Good returns are about -150, chance is about -1200.
    """

    def __init__(
        self, num_envs: int, *, torques: int = 5, velocities: float = 0, noise: float = 0, steps: int = 200
    ) -> None:
        self.num_actions = check_whole("torques", torques, 0, MAX_TORQUES, "0 is any torque")
        if self.num_actions == 1:
            raise EnvError("torques must be 0 or at least 2, got 1; one could not swing it up")
        self.action_space = Box(-MAX_TORQUE, MAX_TORQUE, (1,), np.float32)
        self.max_episode_steps = check_whole("steps", steps, 1, MAX_STEPS, "Pendulum-v1 has 200")
        high = np.array([1.0, 1.0, MAX_SPEED][: 3 if check_flag("velocities", velocities) else 2], np.float32)
        self.noise = check_number("noise", noise, 0.0, MAX_NOISE, "it is a standard deviation")
        if self.noise:
            high = np.full_like(high, np.inf)
        self.space = Box(-high, high, dtype=np.float32)
        self._noise = np.zeros(
            (num_envs, self.max_episode_steps + 1 if self.noise else 0, len(high)), np.float32
        )
        self._torque = np.linspace(-MAX_TORQUE, MAX_TORQUE, self.num_actions)
        self._state = np.zeros((2, num_envs))  # angle, velocity
        self._time = np.zeros(num_envs, dtype=np.int64)  # [N] steps into the episode

    def begin(self, slot: int, rng: np.random.Generator) -> None:
        """Draws angle and velocity."""
        self._state[:, slot] = rng.uniform(-START, START)
        self._time[slot] = 0
        if self.noise:
            self._noise[slot] = self.noise * rng.standard_normal(self._noise.shape[1:])

    def act(self, action: NDArray[Any]) -> Outcome:
        """Turns the pendulum for 0.05 s."""
        angle, speed = self._state
        torque = self._torque[action] if self.num_actions else np.asarray(action, np.float64)[:, 0]
        upright = (angle + np.pi) % (2.0 * np.pi) - np.pi
        cost = np.square(upright) + 0.1 * np.square(speed) + 0.001 * np.square(torque)
        push = 1.5 * GRAVITY / LENGTH * np.sin(angle) + 3.0 / (MASS * LENGTH**2) * torque
        speed = np.clip(speed + push * TAU, -MAX_SPEED, MAX_SPEED)
        self._state = np.stack([angle + speed * TAU, speed])
        self._time += 1
        ended = self._time >= self.max_episode_steps
        return Outcome((-cost).astype(np.float32), np.zeros(len(ended), dtype=np.bool_), ended)

    def observe(self) -> NDArray[np.float32]:
        """Cosine, sine and perhaps velocity, [N, 2 or 3]."""
        angle, speed = self._state
        shown = [np.cos(angle), np.sin(angle), speed][: self.space.shape[0]]
        seen = np.stack(shown, axis=1, dtype=np.float32)
        if self.noise:
            seen += self._noise[np.arange(len(seen)), np.minimum(self._time, self.max_episode_steps)]
        return seen
