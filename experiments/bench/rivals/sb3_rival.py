"""Stable-Baselines3: uniform replay of single transitions only."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer

PACKAGES = ("stable_baselines3", "torch")
LACKS = dict.fromkeys(("sequences", "growth", "threads"), "it has no replay of sequences") | dict.fromkeys(
    ("transitions", "tree", "rare"), "it has no priorities"
)


class Sb3Transitions:
    """`buffer_size` counts the transitions of all environments; time limits are not distinguished (faster)."""

    def __init__(self, capacity: int, streams: int) -> None:
        self._replay = ReplayBuffer(
            capacity, gym.spaces.Box(-np.inf, np.inf, (4,), np.float32), gym.spaces.Discrete(18), "cpu",
            n_envs=streams, handle_timeout_termination=False,
        )  # fmt: skip

    def add(self, values: dict[str, NDArray]) -> None:
        self._replay.add(
            values["obs"], values["next_obs"], values["action"], values["reward"], values["terminated"], []
        )

    def sample(self, n: int) -> Any:
        return self._replay.sample(n)

    def update(self, n: int) -> None:
        """There are no priorities."""


def transitions(capacity: int, streams: int, prioritized: bool) -> Sb3Transitions:
    return Sb3Transitions(capacity, streams)
