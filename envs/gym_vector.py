"""Any gymnasium environment with discrete actions and one array as observation, as our vector of N slots."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from r2d2.envs.goals import KEYS, goals_of, is_goal_space
from r2d2.envs.vector import EnvError, EnvSpec, StepResult

SUPPORTED = (
    "supported are Discrete actions with a Box of at least one axis, a Discrete, or a goal environment's Dict "
    "of vectors (observation, desired_goal, achieved_goal) as observation; "
    "gymnasium.wrappers.FlattenObservation turns a Dict into a Box, DiscretizeAction turns Box actions into "
    "Discrete ones: register the wrapped environment under an id of its own"
)


class GymVector:
    """A gymnasium vector environment under our interface.

    uint8 observations stay uint8, all other numbers become float32, a Discrete observation becomes a one-hot
    float32 vector; a goal environment's dict becomes one float32 vector, in the order of `goals.KEYS`.
    Actions always count from 0, also where the environment's own start elsewhere.
    `env` must restart slots on the next step (NEXT_STEP) and seed slot i with seed + i: the caller vouches.
    """

    def __init__(self, env: gym.vector.VectorEnv[Any, Any, Any], env_id: str, max_steps: int | None) -> None:
        actions, space = env.single_action_space, env.single_observation_space
        if not isinstance(actions, Discrete):
            raise EnvError(f"{env_id} has the action space {actions}; {SUPPORTED}")
        shape: tuple[int, ...]
        goals = None
        if is_goal_space(space):
            sizes = [gym.spaces.flatdim(space[key]) for key in KEYS]
            goals = goals_of(_computing(env), sizes[1])
            shape, dtype = (sum(sizes),), "float32"
        elif isinstance(space, Discrete):
            shape, dtype = (int(space.n),), "float32"
            self._first_symbol = int(space.start)
        elif isinstance(space, Box) and len(space.shape) >= 1:
            shape, dtype = space.shape, "uint8" if space.dtype == np.uint8 else "float32"
        else:
            raise EnvError(f"{env_id} has the observation space {space}; {SUPPORTED}")
        self._env = env
        self._one_hot = isinstance(space, Discrete)
        self._first_action = int(actions.start)
        self.num_envs = env.num_envs
        self.spec = EnvSpec(
            id=env_id,
            observation_shape=shape,
            observation_dtype=dtype,
            num_actions=int(actions.n),
            max_episode_steps=max_steps,
            goals=goals,
        )

    def reset(self, seed: int) -> NDArray[Any]:
        """Restarts every slot, slot i from seed + i; returns [N, *observation_shape]."""
        observation, _ = self._env.reset(seed=seed)
        return self._converted(observation)

    def step(self, action: NDArray[np.int64]) -> StepResult:
        """Acts once in every slot; there are no lives, so `life_lost` is always False."""
        observation, reward, terminated, truncated, _ = self._env.step(action + self._first_action)
        return StepResult(
            self._converted(observation),
            np.asarray(reward).astype(np.float32),
            np.array(terminated, dtype=np.bool_),
            np.array(truncated, dtype=np.bool_),
            np.zeros(self.num_envs, dtype=np.bool_),
        )

    def rgb_frame(self) -> NDArray[np.uint8]:
        """The picture of slot 0 now, [height, width, 3]; only for environments made to be rendered."""
        try:
            frames = self._env.render()
        except gym.error.DependencyNotInstalled as error:
            raise EnvError(f"{self.spec.id} cannot be filmed without a package: {error}") from error
        if frames is None:
            raise RuntimeError(f"{self.spec.id} gave no picture; build it with make_single")
        return np.array(frames[0], dtype=np.uint8)

    def close(self) -> None:
        """Closes the environments."""
        self._env.close()

    def _converted(self, observation: Any) -> NDArray[Any]:
        """A fresh array in the spec's dtype: gymnasium writes to its own again."""
        if self.spec.goals is not None:
            return np.concatenate([observation[key] for key in KEYS], 1, dtype=np.float32)
        if self._one_hot:
            symbol = np.asarray(observation, dtype=np.int64) - self._first_symbol  # [N]
            hot: NDArray[np.bool_] = symbol[:, None] == np.arange(self.spec.observation_shape[0])
            return hot.astype(np.float32)
        return np.array(observation, dtype=self.spec.observation_dtype)


def _computing(env: Any) -> Any:
    """What computes a vector's rewards: itself, or the first of its environments."""
    return env if hasattr(env, "compute_reward") else env.envs[0].unwrapped
