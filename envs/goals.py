"""Goal tasks for hindsight replay, as in Gymnasium: a dict of observation, achieved and desired goal.

A goal environment returns {"observation", "achieved_goal", "desired_goal"} and computes the reward of any
achieved and desired goal, also of many at once (arrays [K, G]).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeGuard, cast

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict
from numpy.typing import NDArray

from r2d2.envs.memory.task import MakeTask, Outcome, Task, TaskEnv, TaskVectorEnv, check_flag, check_whole
from r2d2.envs.vector import Goals

KEYS = ("observation", "desired_goal", "achieved_goal")  # in this order in a flat observation
MAX_BITS = 1_000  # ours: one action and three inputs each

Floats = NDArray[np.float32]
Goal = dict[str, Floats]
Compute = Callable[[Any, Any, Any], Any]


class GoalTask(Task, Protocol):
    """A task whose observations end with the desired and the achieved goal, `goal_size` numbers each."""

    goal_size: int

    def outcome(self, achieved: Floats, desired: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """The reward [...] for achieving `achieved` [..., G], and whether that ends the episode."""


def reached(achieved: Floats, desired: Floats) -> NDArray[np.bool_]:
    """Whether achieved and desired goals [..., G] are the same, [...]."""
    return np.asarray((achieved == desired).all(-1))


class BitFlipping:
    """Flip one of `bits` bits at each step until they match the goal (Andrychowicz et al. 2017, section 3.1).

    The state and the goal are drawn uniformly. Reward: -1 at each step, 0 at the one that reaches the goal and
    ends the episode, which has at most `bits` steps. Observation: the bits; goals are bits as well.

    With `blind`, the bits are shown at the first step only and are zeros afterwards (a flag tells which), so
    that the agent must remember them and what it has flipped since; the desired goal is shown at every step.

    Every goal is at most `bits` flips away, so the best agent always succeeds. Random flips reach the goal in
    about one episode of 2^bits / bits.
    """

    def __init__(self, num_envs: int, *, bits: int = 15, blind: int = 0) -> None:
        self.num_actions = check_whole("bits", bits, 2, MAX_BITS, "one bit is always flipped right")
        self.blind = check_flag("blind", blind)
        self.max_episode_steps = bits = self.num_actions
        self.goal_size = bits
        self.space = Box(0.0, 1.0, (3 * bits + self.blind,), np.float32)
        self._state, self._goal = np.zeros((2, num_envs, bits), np.float32)
        self._time = np.zeros(num_envs, np.int64)
        self._slots = np.arange(num_envs)

    def begin(self, slot: int, rng: np.random.Generator) -> None:
        """Draws bits and goal."""
        self._state[slot], self._goal[slot] = rng.integers(2, size=(2, self.num_actions))
        self._time[slot] = 0

    def act(self, action: NDArray[np.int64]) -> Outcome:
        """Flips one bit of every slot."""
        self._state[self._slots, action] = 1.0 - self._state[self._slots, action]
        self._time += 1
        reward, terminated = self.outcome(self._state, self._goal)
        return Outcome(reward, terminated, ~terminated & (self._time >= self.max_episode_steps))

    def observe(self) -> Floats:
        """The visible, the desired and the true bits, [N, 3 bits], and a flag if blind."""
        if not self.blind:
            return np.concatenate([self._state, self._goal, self._state], 1)
        first = (self._time == 0)[:, None].astype(np.float32)
        return np.concatenate([first * self._state, first, self._goal, self._state], 1)

    @staticmethod
    def outcome(achieved: Floats, desired: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """The reward of arriving at `achieved` [..., G], and whether that ends the episode."""
        there = reached(achieved, desired)
        return there.astype(np.float32) - 1.0, there


class GoalParts:
    """Splits flat observations of a task [..., D] into a goal environment's dict."""

    def __init__(self, space: Box, goal_size: int) -> None:
        self._ends = [space.shape[0] - 2 * goal_size, space.shape[0] - goal_size]
        bounds = zip(KEYS, self(space.low).values(), self(space.high).values(), strict=True)
        self.space = Dict({key: Box(low, high, dtype=np.float32) for key, low, high in bounds})

    def __call__(self, observation: NDArray[Any]) -> Goal:
        return dict(zip(KEYS, np.split(observation, self._ends, -1), strict=True))


class GoalVectorEnv(gym.vector.VectorEnv[Any, Any, Any]):
    """N slots of a goal task; see `TaskVectorEnv`."""

    metadata = TaskVectorEnv.metadata

    def __init__(self, num_envs: int = 1, *, task: MakeTask, **options: Any) -> None:
        self._env = TaskVectorEnv(num_envs, task=task, **options)
        self.task = cast(GoalTask, self._env.task)
        self._parts = GoalParts(self.task.space, self.task.goal_size)
        self.num_envs, self.max_episode_steps = num_envs, self._env.max_episode_steps
        self.single_observation_space = self._parts.space
        self.single_action_space, self.action_space = self._env.single_action_space, self._env.action_space
        self.observation_space = gym.vector.utils.batch_space(self._parts.space, num_envs)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Goal, dict[str, Any]]:
        """Restarts every slot; see `TaskVectorEnv.reset`."""
        return self._parts(self._env.reset(seed=seed)[0]), {}

    def step(self, actions: NDArray[np.int64]) -> tuple[Goal, Any, Any, Any, dict[str, Any]]:
        """Acts once in every slot; slots that were done restart instead."""
        observation, *rest = self._env.step(actions)
        return (self._parts(observation), *rest)  # type: ignore[return-value]

    def compute_reward(self, achieved_goal: Floats, desired_goal: Floats, info: Any) -> Floats:
        """The rewards [...] for achieved goals [..., G]."""
        return np.asarray(self.task.outcome(achieved_goal, desired_goal)[0])

    def compute_terminated(self, achieved_goal: Floats, desired_goal: Floats, info: Any) -> NDArray[np.bool_]:
        """Whether that ends the episode [...]."""
        return np.asarray(self.task.outcome(achieved_goal, desired_goal)[1])


class GoalEnv(gym.Env[Any, Any]):
    """One slot of `GoalVectorEnv` as a plain gymnasium environment: same seed, same episodes."""

    metadata = TaskEnv.metadata

    def __init__(self, *, task: MakeTask, render_mode: str | None = None, **options: Any) -> None:
        self._env = TaskEnv(task=task, render_mode=render_mode, **options)
        self.task = cast(GoalTask, self._env.task)
        self._parts = GoalParts(self.task.space, self.task.goal_size)
        self.max_episode_steps, self.render_mode = self._env.max_episode_steps, render_mode
        self.observation_space, self.action_space = self._parts.space, self._env.action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Goal, dict]:
        """Starts an episode."""
        super().reset(seed=seed)
        return self._parts(self._env.reset(seed=seed)[0]), {}

    def step(self, action: np.int64) -> tuple[Goal, float, bool, bool, dict[str, Any]]:
        """Acts once."""
        observation, *rest = self._env.step(action)
        return (self._parts(observation), *rest)  # type: ignore[return-value]

    def compute_reward(self, achieved_goal: Floats, desired_goal: Floats, info: Any) -> Any:
        """The reward for an achieved goal [G], a float, or for many at once."""
        return self.task.outcome(achieved_goal, desired_goal)[0]

    def compute_terminated(self, achieved_goal: Floats, desired_goal: Floats, info: Any) -> Any:
        """Whether that ends the episode."""
        return self.task.outcome(achieved_goal, desired_goal)[1]

    def render(self) -> NDArray[np.uint8]:
        """The visible, desired and true bits as a row of gray squares."""
        return self._env.render()


def is_goal_space(space: gym.Space[Any]) -> TypeGuard[Dict]:
    """Whether this is the dict of a goal environment: all vectors, and both goals of the same size."""
    return (
        isinstance(space, Dict)
        and set(space.spaces) == set(KEYS)
        and all(isinstance(part, Box) and len(part.shape) == 1 for part in space.spaces.values())
        and space["achieved_goal"].shape == space["desired_goal"].shape  # Boxes both, as all are
    )


def goals_of(env: Any, size: int) -> Goals:
    """The goals of a goal environment, whose `compute_reward` may take only one goal at a time.

    An environment without `compute_terminated` does not end at its goal.
    """

    def outcome(achieved: Floats, desired: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        reward = _each(env.compute_reward, achieved, desired).astype(np.float32)
        if not hasattr(env, "compute_terminated"):
            return reward, np.zeros(len(reward), np.bool_)
        return reward, _each(env.compute_terminated, achieved, desired).astype(np.bool_)

    return Goals(size, outcome)


def _each(compute: Compute, achieved: Floats, desired: Floats) -> NDArray[Any]:
    """compute(achieved, desired) [K] of goals [K, G], vectorized if possible."""
    try:
        values = np.asarray(compute(achieved, desired, {}))
        if values.shape == (len(achieved),):
            return values
    except (TypeError, ValueError):  # it cannot take arrays of goals: one goal at a time
        pass
    pairs = zip(achieved, desired, strict=True)
    return np.array([compute(one, other, {}) for one, other in pairs]).reshape(len(achieved))
