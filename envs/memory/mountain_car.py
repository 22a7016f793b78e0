"""MountainCar without its velocity, with discrete or continuous pushes."""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from r2d2.envs.memory.cartpole import MAX_STEPS
from r2d2.envs.memory.task import Outcome, check_flag, check_whole

# Moore 1990 as in Gymnasium's MountainCar-v0.
FORCE, GRAVITY = 0.001, 0.0025
LEFT, RIGHT, GOAL, MAX_SPEED = -1.2, 0.6, 0.5, 0.07


class MaskedMountainCar:
    """Swing a weak car up a hill, seeing its position alone; the velocity must be inferred.

    The dynamics and, with the same seed, the episodes are those of Gymnasium's MountainCar-v0. Actions: 0 pushes
    left, 1 does nothing, 2 pushes right. Observation: the position, float32 [1]; with `velocities` also the
    velocity, as MountainCar-v0 shows them. Reward: -1 a step. The episode ends at position 0.5; after `steps`
    steps it is truncated.

    Solving it (MountainCar-v0 calls -110 solved) takes the observation of one step before: push the way the car is
    moving. Without memory, a push can depend on the position alone.
    """

    def __init__(self, num_envs: int, *, velocities: float = 0, steps: int = 200) -> None:
        self.max_episode_steps = check_whole("steps", steps, 1, MAX_STEPS, "MountainCar-v0 has 200")
        shown = 2 if check_flag("velocities", velocities) else 1
        low, high = [LEFT, -MAX_SPEED][:shown], [RIGHT, MAX_SPEED][:shown]
        self.space = Box(np.array(low, np.float32), np.array(high, np.float32), dtype=np.float32)
        self.num_actions = 3
        self._state = np.zeros((2, num_envs))  # position, velocity
        self._time = np.zeros(num_envs, dtype=np.int64)  # [N] steps into the episode

    def begin(self, slot: int, rng: np.random.Generator) -> None:
        """Draws a start at rest in the valley."""
        self._state[:, slot] = rng.uniform(-0.6, -0.4), 0.0
        self._time[slot] = 0

    def act(self, action: NDArray[np.int64]) -> Outcome:
        """Pushes the car."""
        position, speed = self._state
        speed = speed + (action - 1) * FORCE - np.cos(3.0 * position) * GRAVITY
        speed = np.clip(speed, -MAX_SPEED, MAX_SPEED)
        position = np.clip(position + speed, LEFT, RIGHT)
        speed = np.where((position == LEFT) & (speed < 0.0), 0.0, speed)
        self._state = np.stack([position, speed])
        self._time += 1
        arrived = (position >= GOAL) & (speed >= 0.0)
        reward = np.full(len(arrived), -1.0, dtype=np.float32)
        return Outcome(reward, arrived, ~arrived & (self._time >= self.max_episode_steps))

    def observe(self) -> NDArray[np.float32]:
        """The position and perhaps the velocity, [N, 1 or 2]."""
        return np.ascontiguousarray(self._state[: len(self.space.high)].T, dtype=np.float32)


# Gymnasium's MountainCarContinuous-v0, where it differs.
POWER, NEAR_GOAL, ARRIVED, EFFORT = 0.0015, 0.45, 100.0, 0.1


class MaskedMountainCarContinuous:
    """Swing a weak car up a hill with any push, seeing its position alone; the velocity must be inferred.

    The dynamics and, with the same seed, the episodes are those of Gymnasium's MountainCarContinuous-v0. Action:
    the push, [1], -1 to 1. Observation: the position, float32 [1]; with `velocities` also the velocity, as
    MountainCarContinuous-v0 shows them. Reward: -0.1 push^2 a step, and 100 at the goal, position 0.45, where the
    episode ends; after `steps` steps it is truncated.

    MountainCarContinuous-v0 calls 90 solved. An agent that never finds the goal learns to do nothing.
    """

    num_actions = 0

    def __init__(self, num_envs: int, *, velocities: float = 0, steps: int = 999) -> None:
        self.max_episode_steps = check_whole("steps", steps, 1, MAX_STEPS, "MountainCarContinuous-v0 has 999")
        shown = 2 if check_flag("velocities", velocities) else 1
        low, high = [LEFT, -MAX_SPEED][:shown], [RIGHT, MAX_SPEED][:shown]
        self.space = Box(np.array(low, np.float32), np.array(high, np.float32), dtype=np.float32)
        self.action_space = Box(-1.0, 1.0, (1,), np.float32)
        self._state = np.zeros((2, num_envs))  # position, velocity
        self._time = np.zeros(num_envs, dtype=np.int64)  # [N] steps into the episode

    def begin(self, slot: int, rng: np.random.Generator) -> None:
        """Draws a start at rest in the valley."""
        self._state[:, slot] = rng.uniform(-0.6, -0.4), 0.0
        self._time[slot] = 0

    def act(self, action: NDArray[np.float32]) -> Outcome:
        """Pushes the car."""
        position, speed = self._state
        push = np.asarray(action, np.float64)[:, 0]
        speed = np.clip(speed + push * POWER - GRAVITY * np.cos(3.0 * position), -MAX_SPEED, MAX_SPEED)
        position = np.clip(position + speed, LEFT, RIGHT)
        speed = np.where((position == LEFT) & (speed < 0.0), 0.0, speed)
        self._state = np.stack([position, speed])
        self._time += 1
        arrived = (position >= NEAR_GOAL) & (speed >= 0.0)
        reward = (ARRIVED * arrived - EFFORT * np.square(push)).astype(np.float32)
        return Outcome(reward, arrived, ~arrived & (self._time >= self.max_episode_steps))

    def observe(self) -> NDArray[np.float32]:
        """The position and perhaps the velocity, [N, 1 or 2]."""
        return np.ascontiguousarray(self._state[: len(self.space.high)].T, dtype=np.float32)
