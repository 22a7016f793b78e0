"""Turns a task over N slots into a gymnasium vector environment, or a single one: same seed, same episodes."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from r2d2.envs.vector import EnvError

UNBOUNDED = 5.0  # ours: a number without bounds is drawn on a scale from -5 (black) to 5 (white)


class Outcome(NamedTuple):
    """What one action led to in each slot."""

    reward: NDArray[np.float32]  # [N]
    terminated: NDArray[np.bool_]  # [N]
    truncated: NDArray[np.bool_]  # [N]


class Task(Protocol):
    """The rules of one task, for N slots at once; its options are the arguments of its constructor.

    All randomness of an episode is drawn when it begins, from the slot's own stream. So a step is array code
    for all slots, and slot i of seed s plays the same episodes as slot 0 of seed s + i.
    """

    space: Box  # one observation, float32
    num_actions: int  # 0 where an action is a vector; then `action_space` describes it
    max_episode_steps: int

    def begin(self, slot: int, rng: np.random.Generator) -> None:
        """Draws the slot's next episode and goes to its start."""

    def act(self, action: NDArray[Any]) -> Outcome:
        """Acts once in every slot; in slots whose episode is over the action is ignored.

        The action is [N], or [N, size] of the action space.
        """

    def observe(self) -> NDArray[np.float32]:
        """What each slot shows now, [N, *space.shape], the caller's own array; final observations too."""


MakeTask = Callable[..., Task]  # (num_envs, **options)


class TaskVectorEnv(gym.vector.VectorEnv[NDArray[np.float32], NDArray[Any], Any]):
    """N slots of a task with NEXT_STEP auto-reset; `options` go to the task's constructor."""

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, num_envs: int = 1, *, task: MakeTask, **options: Any) -> None:
        self.task = task(num_envs, **options)
        self.num_envs = num_envs
        self.max_episode_steps = self.task.max_episode_steps
        self.single_observation_space = self.task.space
        self.single_action_space = action_space(self.task)
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, num_envs)
        self._done = np.zeros(num_envs, dtype=np.bool_)  # [N] whether the coming step restarts the slot
        self._rngs: list[np.random.Generator] = []

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Restarts every slot, slot i from seed + i; without a seed the random streams continue."""
        if seed is not None or not self._rngs:
            counts = range(self.num_envs)
            seeds = seed if isinstance(seed, list) else [None if seed is None else seed + i for i in counts]
            self._rngs = [gym.utils.seeding.np_random(None if s is None else int(s))[0] for s in seeds]
        return self.restart(self._rngs), {}

    def restart(self, rngs: list[np.random.Generator]) -> NDArray[np.float32]:
        """Restarts every slot with its random stream; returns the first observations."""
        self._rngs = rngs
        for slot, rng in enumerate(rngs):
            self.task.begin(slot, rng)
        self._done[:] = False
        return self.task.observe()

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[
        NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]
    ]:
        """Acts once in every slot; slots that were done restart instead."""
        reward, terminated, truncated = self.task.act(np.asarray(actions))
        restarts = self._done
        if restarts.any():
            reward, terminated = np.where(restarts, np.float32(0), reward), terminated & ~restarts
            truncated = truncated & ~restarts
            for slot in np.flatnonzero(restarts).tolist():
                self.task.begin(slot, self._rngs[slot])
        self._done = terminated | truncated
        return self.task.observe(), reward, terminated, truncated, {}


class TaskEnv(gym.Env[NDArray[np.float32], Any]):
    """One slot of `TaskVectorEnv` as a plain gymnasium environment: same seed, same episodes."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012

    def __init__(self, *, task: MakeTask, render_mode: str | None = None, **options: Any) -> None:
        self._env = TaskVectorEnv(1, task=task, **options)
        self.task = self._env.task
        self.max_episode_steps = self._env.max_episode_steps
        self.observation_space = self._env.single_observation_space
        self.action_space = self._env.single_action_space
        self.render_mode = render_mode
        self._shown = np.zeros(self.task.space.shape, dtype=np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Starts an episode."""
        super().reset(seed=seed)
        self._shown = self._env.restart([self.np_random])[0]
        return self._shown.copy(), {}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Acts once."""
        observation, reward, terminated, truncated, _ = self._env.step(np.array([action]))
        self._shown = observation[0]
        return self._shown.copy(), float(reward[0]), bool(terminated[0]), bool(truncated[0]), {}

    def render(self) -> NDArray[np.uint8]:
        """The observation as a row of gray squares, black for the space's lowest value, [16, 16 * size, 3]."""
        space = self.task.space
        low, high = np.maximum(space.low, -UNBOUNDED), np.minimum(space.high, UNBOUNDED)
        share = np.clip((self._shown - low) / (high - low), 0.0, 1.0)
        gray = np.kron(share.reshape(1, -1) * 255, np.ones((16, 16))).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)


def action_space(task: Task) -> gym.Space[Any]:
    """The action space of a task: discrete, or vectors of bounded numbers."""
    return Discrete(task.num_actions) if task.num_actions else task.action_space  # type: ignore[attr-defined]


def check_whole(name: str, value: Any, low: int, high: int, remedy: str) -> int:
    """Returns the option as an int, or says what it must be and what to do.

    >>> check_whole("delay", 3, 0, 10, "")
    3
    """
    whole = isinstance(value, Real) and not isinstance(value, bool) and value == value // 1
    if not whole or not low <= value <= high:
        raise EnvError(f"{name} must be a whole number in [{low}, {high}], got {value!r}; {remedy}")
    return int(value)


def check_number(name: str, value: Any, low: float, high: float, remedy: str) -> float:
    """Returns the option as a float, or says what it must be and what to do.

    >>> check_number("noise", 1, 0.0, 10.0, "")
    1.0
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= float(value) <= high:
        raise EnvError(f"{name} must be a number in [{low:g}, {high:g}], got {value!r}; {remedy}")
    return float(value)


def check_probability(name: str, value: Any, remedy: str) -> float:
    """Returns the option as a float, or says what it must be and what to do.

    >>> check_probability("noise", 1, "")
    1.0
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 <= float(value) <= 1.0:
        raise EnvError(f"{name} must be a probability in [0, 1], got {value!r}; {remedy}")
    return float(value)


def check_flag(name: str, value: Any) -> bool:
    """Returns an option that is either on or off.

    >>> check_flag("noise", 1)
    True
    """
    if not isinstance(value, Real) or value not in (0, 1):
        raise EnvError(f"{name} must be true (1) or false (0), got {value!r}")
    return bool(value)
