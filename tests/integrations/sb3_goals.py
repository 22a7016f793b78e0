"""A goal task in which every achieved goal can be told from all others."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv

SIZE = 2  # of a goal


class Reach(gym.Env):
    """A point walks on a plane; every achieved goal occurs once in the life of all environments."""

    count = 0

    def __init__(self, discrete: bool = False, longest: int = 9) -> None:
        goal = spaces.Box(-np.inf, np.inf, (SIZE,), np.float32)
        parts = {
            "observation": spaces.Box(-1, 1, (3,), np.float32),
            "achieved_goal": goal,
            "desired_goal": goal,
        }
        self.observation_space = spaces.Dict(parts)
        self.action_space = spaces.Discrete(3) if discrete else spaces.Box(-1, 1, (2,), np.float32)
        self.longest = longest

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.goal = -self.np_random.random(SIZE).astype(np.float32)
        self.left = int(self.np_random.integers(1, self.longest + 1))
        return self._look(), {}

    def step(self, action: Any) -> Any:
        self.left -= 1
        look, cut = self._look(), bool(self.np_random.random() < 0.5)
        reward = float(self.compute_reward(look["achieved_goal"][None], self.goal[None], [{}])[0])
        return look, reward, self.left == 0 and not cut, self.left == 0 and cut, {"left": self.left}

    def _look(self) -> dict[str, NDArray]:
        Reach.count += 1
        achieved = np.array([Reach.count, 0.5], np.float32)
        return {
            "observation": self.np_random.random(3).astype(np.float32),
            "achieved_goal": achieved,
            "desired_goal": self.goal,
        }

    def compute_reward(self, achieved: NDArray, desired: NDArray, info: Any) -> NDArray:
        told = np.array([part.get("left", 0) for part in info])
        return np.asarray(achieved[:, 0] * 10 + desired[:, 0] + 0.25 * told)


def environments(n_envs: int, *, seed: int = 0, **arguments: Any) -> DummyVecEnv:
    env = DummyVecEnv([lambda: Reach(**arguments) for _ in range(n_envs)])
    env.seed(seed)
    return env


def play(env: Any, steps: int, *targets: Any) -> None:
    """Random steps into each buffer, as SB3's `_store_transition` hands them over."""
    look = getattr(env, "look", None) or env.reset()
    for _ in range(steps):
        action = np.array([env.action_space.sample() for _ in range(env.num_envs)])
        after, reward, done, infos = env.step(action)
        arrived = {key: part.copy() for key, part in after.items()}
        for i in np.flatnonzero(done):
            for key in arrived:
                arrived[key][i] = infos[i]["terminal_observation"][key]
        for target in targets:
            target.add(look, arrived, action, reward, done, infos)
        look = after
    env.look = look
