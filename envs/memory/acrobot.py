"""Acrobot without its velocities, with any torque at the elbow."""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from r2d2.envs.memory.cartpole import MAX_STEPS
from r2d2.envs.memory.task import Outcome, check_flag, check_whole

Floats = NDArray[np.float64]

# Sutton 1996 as in Gymnasium's Acrobot-v1: two links of length and mass 1 with the moment of inertia 1.
GRAVITY, STEP = 9.8, 0.2
MAX_SPEEDS = np.array([[4.0 * np.pi], [9.0 * np.pi]])
START, GOAL = 0.1, 1.0  # of angles and velocities; height of the tip above the joint


class MaskedAcrobotContinuous:
    """Swing a double pendulum up to a line, seeing its angles alone; the velocities must be inferred.

    The dynamics and, with the same seed, the starts are those of Gymnasium's Acrobot-v1, whose torques are -1, 0
    and 1. Action: the torque, [1], -1 to 1. Observation: cosine and sine of the first angle and of the second,
    float32 [4]; with `velocities` also the two velocities, as Acrobot-v1 shows them. Reward: -1 a step, and 0 for
    the one that lifts the tip above the line, which ends the episode; after `steps` steps it is truncated.

    Acrobot-v1 calls -100 solved. Without memory, a torque can depend on the angles alone.
    """

    num_actions = 0

    def __init__(self, num_envs: int, *, velocities: float = 0, steps: int = 500) -> None:
        self.max_episode_steps = check_whole("steps", steps, 1, MAX_STEPS, "Acrobot-v1 has 500")
        speeds = MAX_SPEEDS.ravel() if check_flag("velocities", velocities) else np.empty(0)
        high = np.concatenate([np.ones(4), speeds]).astype(np.float32)
        self.space = Box(-high, high, dtype=np.float32)
        self.action_space = Box(-1.0, 1.0, (1,), np.float32)
        self._state = np.zeros((4, num_envs))  # two angles in [-pi, pi), their velocities
        self._time = np.zeros(num_envs, dtype=np.int64)  # [N] steps into the episode

    def begin(self, slot: int, rng: np.random.Generator) -> None:
        """Draws a start that hangs nearly at rest."""
        self._state[:, slot] = rng.uniform(-START, START, 4).astype(np.float32)
        self._time[slot] = 0

    def act(self, action: NDArray[np.float32]) -> Outcome:
        """Applies the torque for 0.2 seconds: one step of Runge and Kutta's fourth-order method."""
        torque, state = np.asarray(action, np.float64)[:, 0], self._state
        k1 = _derivative(state, torque)
        k2 = _derivative(state + STEP / 2.0 * k1, torque)
        k3 = _derivative(state + STEP / 2.0 * k2, torque)
        k4 = _derivative(state + STEP * k3, torque)
        state = state + STEP / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        angles = (state[:2] + np.pi) % (2.0 * np.pi) - np.pi
        self._state = np.concatenate([angles, np.clip(state[2:], -MAX_SPEEDS, MAX_SPEEDS)])
        self._time += 1
        up = -np.cos(angles[0]) - np.cos(angles[0] + angles[1]) > GOAL
        reward = np.where(up, 0.0, -1.0).astype(np.float32)
        return Outcome(reward, up, ~up & (self._time >= self.max_episode_steps))

    def observe(self) -> NDArray[np.float32]:
        """The angles and perhaps the velocities, [N, 4 or 6]."""
        first, second = self._state[:2]
        seen = [np.cos(first), np.sin(first), np.cos(second), np.sin(second), *self._state[2:]]
        return np.stack(seen[: len(self.space.high)], 1).astype(np.float32)


def _derivative(state: Floats, torque: Floats) -> Floats:
    """The time derivatives [4, N] of angles and velocities, as in Sutton & Barto (1998, section 11.3)."""
    first, second, speed1, speed2 = state
    inertia1 = 3.5 + np.cos(second)
    inertia2 = 1.25 + 0.5 * np.cos(second)
    pull2 = 0.5 * GRAVITY * np.sin(first + second)
    pull1 = 1.5 * GRAVITY * np.sin(first) + pull2 - 0.5 * np.sin(second) * speed2 * (speed2 + 2.0 * speed1)
    turn = torque + inertia2 / inertia1 * pull1 - 0.5 * np.square(speed1) * np.sin(second) - pull2
    acceleration2 = turn / (1.25 - np.square(inertia2) / inertia1)
    acceleration1 = -(inertia2 * acceleration2 + pull1) / inertia1
    return np.stack([speed1, speed2, acceleration1, acceleration2])
