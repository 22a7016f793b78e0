"""Actions: whatever an environment calls them, an agent counts them from 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete, MultiBinary, MultiDiscrete
from numpy.typing import NDArray

from r2d2.envs.vector import EnvError

MAX_JOINT_ACTIONS = 1_000  # ours: one output each


@dataclass(frozen=True)
class Actions:
    """`count` actions; several at once (MultiDiscrete, MultiBinary) are one, the last of them running fastest."""

    count: int
    sizes: tuple[int, ...] = ()  # of what is chosen at once
    start: Any = 0  # the environment's own lowest action(s)

    @property
    def plain(self) -> bool:
        """Whether the environment counts them as agents do."""
        return not self.sizes and self.start == 0

    def of(self, action: NDArray[np.int64]) -> NDArray[np.int64]:
        """The environment's own actions of actions [N] that count from 0.

        >>> actions_of(MultiDiscrete([2, 3]), "Task-v0").of(np.array([0, 4])).tolist()
        [[0, 0], [1, 1]]
        """
        if not self.sizes:
            return action + self.start
        return np.stack(np.unravel_index(action, self.sizes), -1).reshape(-1, *self.start.shape) + self.start


def actions_of(space: gym.Space[Any], env_id: str) -> Actions:
    """The actions of a space; EnvError where they cannot be counted, or are too many to be valued."""
    match space:
        case Discrete():
            return Actions(int(space.n), start=int(space.start))
        case MultiDiscrete():
            sizes, start = tuple(space.nvec.ravel().tolist()), space.start.astype(np.int64)
        case MultiBinary():
            sizes, start = (2,) * math.prod(space.shape), np.zeros(space.shape, np.int64)
        case _:
            raise EnvError(
                f"{env_id} has the action space {space}; supported are Discrete, MultiDiscrete and MultiBinary: "
                "gymnasium.wrappers.DiscretizeAction turns Box actions into Discrete ones, and --env "
                "module:function may return the wrapped environment"
            )
    if math.prod(sizes) > MAX_JOINT_ACTIONS:
        raise EnvError(
            f"{env_id} has {math.prod(sizes):,} joint actions ({space}); at most {MAX_JOINT_ACTIONS:,} can be "
            "valued: let a wrapper (gymnasium.wrappers.TransformAction) offer fewer"
        )
    return Actions(math.prod(sizes), sizes, start)
