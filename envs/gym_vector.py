"""Any Gymnasium environment with discrete or bounded actions, as our vector of N slots."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from r2d2.envs.actions import Actions, actions_of
from r2d2.envs.goals import KEYS, goals_of, is_goal_space
from r2d2.envs.observations import Chosen, Part, parts_of
from r2d2.envs.vector import EnvError, EnvSpec, Observation, StepResult


class GymVector:
    """A gymnasium vector environment behind our interface.

    Observations become the columns that `envs.observations` describes; a goal environment's dict becomes one
    float32 vector, in the order of `goals.KEYS`. Actions count from 0, or are vectors from -1 to 1.
    `env` must restart slots on the next step (NEXT_STEP) and seed slot i with seed + i; this is not checked.
    """

    def __init__(
        self,
        env: gym.vector.VectorEnv[Any, Any, Any],
        env_id: str,
        max_steps: int | None,
        channels: Chosen = "auto",
    ) -> None:
        self._actions = actions_of(env.single_action_space, env_id)
        space, goals = env.single_observation_space, None
        computing = env if hasattr(env, "compute_reward") else getattr(env, "envs", [env])[0].unwrapped
        if hasattr(computing, "compute_reward") and is_goal_space(space):
            goals = goals_of(computing, gym.spaces.flatdim(space["desired_goal"]))
            parts: tuple[Part, ...] = (_goal_part(space),)
        else:
            parts = parts_of(space, env_id, channels)
        self._env = env
        self._whole = parts[0].name == "observation"  # a single array, not one per column
        self.num_envs = env.num_envs
        own = self._actions
        count = own.count if isinstance(own, Actions) else own.size
        plain = isinstance(own, Actions) and own.plain
        self.spec = EnvSpec(env_id, parts, count, max_steps, goals, None if plain else own)

    def reset(self, seed: int) -> Observation:
        """Restarts every slot, slot i from seed + i."""
        return self._columns(self._env.reset(seed=seed)[0])

    def step(self, action: NDArray[Any]) -> StepResult:
        """Acts once in every slot; there are no lives, so `life_lost` is always False."""
        observation, reward, terminated, truncated, _ = self._env.step(self._actions.of(action))
        return StepResult(
            self._columns(observation),
            np.asarray(reward).astype(np.float32),
            np.array(terminated, dtype=np.bool_),
            np.array(truncated, dtype=np.bool_),
            np.zeros(self.num_envs, dtype=np.bool_),
        )

    def rgb_frame(self) -> NDArray[np.uint8]:
        """The current picture of slot 0, [height, width, 3]; only for environments made to be rendered."""
        try:
            frames = self._env.render()
        except gym.error.DependencyNotInstalled as error:
            raise EnvError(f"{self.spec.id} cannot be filmed without a package: {error}") from error
        if frames is None or frames[0] is None:
            raise EnvError(f"{self.spec.id} gave no picture: its render() returned None")
        return np.array(frames[0], dtype=np.uint8)

    def close(self) -> None:
        """Closes the environments."""
        self._env.close()

    def _columns(self, observation: Any) -> Observation:
        """Fresh arrays: gymnasium reuses its own."""
        if self._whole:
            return self.spec.parts[0].read(observation)
        return {part.name: part.read(observation) for part in self.spec.parts}


def _goal_part(space: gym.spaces.Dict) -> Part:
    low, high = (
        np.concatenate([getattr(space[key], bound) for key in KEYS]).astype(np.float64).tolist()
        for bound in ("low", "high")
    )
    return Part("observation", (len(low),), "float32", "vector", tuple(low), tuple(high), keys=KEYS)
