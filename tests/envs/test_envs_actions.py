"""Actions count from 0, whatever an environment calls them, and several at once are one."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Text

from r2d2.envs.actions import actions_of
from r2d2.envs.make import make
from r2d2.envs.vector import EnvError


@pytest.mark.parametrize(
    ("space", "first", "count"),
    [
        (Discrete(3, start=-1), -1, 3),
        (MultiDiscrete([2, 3]), [0, 0], 6),
        (MultiDiscrete([2, 3], start=[4, -1]), [4, -1], 6),
        (MultiDiscrete([[2, 2], [2, 3]]), [[0, 0], [0, 0]], 24),
        (MultiBinary(3), [0, 0, 0], 8),
        (MultiBinary([2, 2]), [[0, 0], [0, 0]], 16),
    ],
)
def test_every_action_of_a_space_has_one_number(space: gym.Space[Any], first: Any, count: int) -> None:
    actions = actions_of(space, "Task-v0")
    assert actions.count == count
    own = actions.of(np.arange(count))
    assert own[0].tolist() == first
    assert len({tuple(np.ravel(one)) for one in own}) == count
    assert all(space.contains(np.asarray(one, space.dtype) if space.shape else one) for one in own)


def test_the_last_of_several_runs_fastest() -> None:
    own = actions_of(MultiDiscrete([2, 3, 2]), "Task-v0").of(np.arange(12))
    assert own.tolist() == [list(one) for one in itertools.product(range(2), range(3), range(2))]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (Text(3), "action space Text.*supported are Discrete, MultiDiscrete, MultiBinary and bounded Box"),
        (Box(-np.inf, 1, (1,)), "action space Box.*finite bounds.*RescaleAction"),
        (Box(0, 9, (1,), np.int64), "action space Box.*must be of floats"),
        (MultiDiscrete([40, 40]), "1,600 joint actions.*at most 1,000"),
        (MultiBinary(10), "1,024 joint actions"),
        (MultiBinary(100), "joint actions"),
    ],
)
def test_actions_that_cannot_be_counted_or_are_too_many_are_refused(
    space: gym.Space[Any], message: str
) -> None:
    with pytest.raises(EnvError, match=f"Task-v0 has .*{message}"):
        actions_of(space, "Task-v0")


class Levers(gym.Env[Any, Any]):
    """Rewards 100 times the first lever, 10 times the second, and the third; two positions each."""

    observation_space = Box(0, 1, (1,))
    action_space = MultiBinary(3)

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        return np.zeros(1, np.float32), float(action @ [100, 10, 1]), False, False, {}


def test_an_environment_gets_its_own_actions() -> None:
    gym.register("Levers-v0", entry_point=Levers)
    env = make("Levers-v0", 4)
    assert env.spec.num_actions == 8
    env.reset(0)
    assert env.step(np.array([0, 1, 4, 7])).reward.tolist() == [0, 1, 100, 111]
    del gym.registry["Levers-v0"]
