"""MuJoCo's walkers without their velocities: positions and angles alone."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from gymnasium.spaces import Box


def without_velocities(*, base: str, **options: Any) -> gym.Env[Any, Any]:
    """Gymnasium's environment `base`, without the velocities of its observation and all that comes after them.

    Its observation begins with the positions and angles of the body without the position on the track, which no
    reward depends on. `options` are those of its constructor. Raises DependencyNotInstalled without MuJoCo.
    """
    env = gym.make(base, disable_env_checker=True, **options)
    body: Any = env.unwrapped
    shown = len(body.data.qpos) - 1
    space: Any = env.observation_space
    seen = Box(space.low[:shown], space.high[:shown], dtype=space.dtype)
    return gym.wrappers.TransformObservation(env, lambda observation: observation[:shown], seen)
