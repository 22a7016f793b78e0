"""Actions: an agent counts them from 0, or gives numbers from -1 to 1, whatever the environment's own are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from numpy.typing import NDArray

from r2d2.envs.vector import EnvError

MAX_JOINT_ACTIONS = 1_000  # ours: one output each


@dataclass(frozen=True)
class Actions:
    """`count` actions; joint ones (MultiDiscrete, MultiBinary) are flattened, the last one varying fastest."""

    count: int
    sizes: tuple[int, ...] = ()  # of the components of a joint action
    start: Any = 0  # the environment's own lowest action(s)

    @property
    def plain(self) -> bool:
        """Whether the environment counts actions from 0, as agents do."""
        return not self.sizes and self.start == 0

    def of(self, action: NDArray[np.int64]) -> NDArray[np.int64]:
        """The environment's own actions for actions [N] that count from 0.

        >>> actions_of(MultiDiscrete([2, 3]), "Task-v0").of(np.array([0, 4])).tolist()
        [[0, 0], [1, 1]]
        """
        if not self.sizes:
            return action + self.start
        return np.stack(np.unravel_index(action, self.sizes), -1).reshape(-1, *self.start.shape) + self.start

    def read(self, own: NDArray[Any]) -> NDArray[np.int64]:
        """The actions [N] that count from 0 for the environment's own: the inverse of `of`.

        >>> actions_of(MultiDiscrete([2, 3]), "Task-v0").read(np.array([[0, 0], [1, 1]])).tolist()
        [0, 4]
        """
        counted = np.asarray(own, np.int64) - self.start
        if not self.sizes:
            return counted
        return np.ravel_multi_index(tuple(counted.reshape(len(counted), -1).T), self.sizes)


@dataclass(frozen=True)
class BoxActions:
    """Vectors of `size` numbers, each from -1 to 1 for the agent and from `low` to `high` for the environment."""

    low: tuple[float, ...]  # of every number, with the axes of the space flattened
    high: tuple[float, ...]
    shape: tuple[int, ...]  # of the actions that the environment takes
    dtype: str = "float32"

    @property
    def size(self) -> int:
        """How many numbers an action has."""
        return len(self.low)

    def of(self, action: NDArray[np.float32]) -> NDArray[Any]:
        """The environment's own actions [N, *shape] for actions [N, size] from -1 to 1.

        >>> actions_of(Box(np.float32([-2, 0]), np.float32([2, 1])), "Task-v0").of(np.array([[-1.0, 0.5]])).tolist()
        [[-2.0, 0.75]]
        """
        low, high = np.array(self.low), np.array(self.high)
        own = low + (np.asarray(action, np.float64) + 1.0) * (0.5 * (high - low))
        return np.clip(own, low, high).reshape(-1, *self.shape).astype(self.dtype)

    def read(self, own: NDArray[Any]) -> NDArray[np.float32]:
        """The actions [N, size] from -1 to 1 for the environment's own [N, *shape]: the inverse of `of`.

        >>> actions_of(Box(-2, 2, (1,)), "Task-v0").read(np.array([[-2.0], [1.0]])).tolist()
        [[-1.0], [0.5]]
        """
        low, high = np.array(self.low), np.array(self.high)
        flat = np.asarray(own, np.float64).reshape(-1, self.size)
        return np.clip(2.0 * (flat - low) / (high - low) - 1.0, -1.0, 1.0).astype(np.float32)


def actions_of(space: gym.Space[Any], env_id: str) -> Actions | BoxActions:
    """The actions of a space; EnvError for too many of them, a Box without bounds, or another kind of space."""
    match space:
        case Box():
            return _box_actions(space, env_id)
        case Discrete():
            return Actions(int(space.n), start=int(space.start))
        case MultiDiscrete():
            sizes, start = tuple(space.nvec.ravel().tolist()), space.start.astype(np.int64)
        case MultiBinary():
            sizes, start = (2,) * math.prod(space.shape), np.zeros(space.shape, np.int64)
        case _:
            raise EnvError(
                f"{env_id} has the action space {space}; supported are Discrete, MultiDiscrete, MultiBinary and "
                "bounded Box: let a wrapper (gymnasium.wrappers.TransformAction) offer one of them, and --env "
                "module:function return the wrapped environment"
            )
    if math.prod(sizes) > MAX_JOINT_ACTIONS:
        raise EnvError(
            f"{env_id} has {math.prod(sizes):,} joint actions ({space}); at most {MAX_JOINT_ACTIONS:,} can be "
            "valued: let a wrapper (gymnasium.wrappers.TransformAction) offer fewer"
        )
    return Actions(math.prod(sizes), sizes, start)


def _box_actions(space: Box, env_id: str) -> BoxActions:
    low, high = space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)
    if space.dtype is None or space.dtype.kind != "f":
        raise EnvError(
            f"{env_id} has the action space {space}; a Box must be of floats: let a wrapper "
            "(gymnasium.wrappers.TransformAction) offer one, or a MultiDiscrete space"
        )
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise EnvError(
            f"{env_id} has the action space {space}; every number must have finite bounds, the lower one below the "
            "upper one: gymnasium.wrappers.RescaleAction or ClipAction sets them"
        )
    return BoxActions(tuple(low.tolist()), tuple(high.tolist()), space.shape, space.dtype.name)
