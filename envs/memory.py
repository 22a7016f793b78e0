"""Tasks that need memory and train in minutes; each draws its episodes as whole arrays."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from envs.vector import EnvError

MAX_DELAY = 100_000  # steps; ours: longer episodes would be drawn into too much memory at once


def recall_episode(rng: np.random.Generator, cues: int, delay: int, noise: float) -> NDArray[np.int64]:
    """Draws what one episode of Recall shows: a symbol for each step, -1 for none, [delay + 2].

    >>> recall_episode(np.random.default_rng(0), cues=4, delay=3, noise=1.0)
    array([ 3,  2,  2,  1, -1])
    """
    symbols = rng.integers(cues, size=delay + 2)
    symbols[1:-1][rng.random(delay) >= noise] = -1
    symbols[-1] = -1
    return symbols


class RecallVectorEnv(gym.vector.VectorEnv[NDArray[np.float32], NDArray[np.int64], Any]):
    """Remember the symbol shown first, keep still for `delay` steps, then name it when asked.

    Step 0 shows the cue, one of `cues` symbols, with the flag "first". The next `delay` steps show a random
    symbol each (with probability `noise`), which must not overwrite the cue. The last step shows no symbol
    but the flag "asked": the action must equal the cue. Before that only action 0 is allowed.
    Observation: one-hot symbol [cues], flag first, flag asked; float32 [N, cues + 2]. Actions: `cues`.
    Reward: +1 for the right answer, -1 for a wrong one, which includes any answer before the question; both
    end the episode. 0 otherwise. The longest episode has delay + 2 steps.

    Solving it takes one latch: store the symbol when "first" is set, hold it for delay + 1 steps. The best
    return is 1. Without memory 2 / cues - 1 is the optimum (-0.5 for 4 cues): say 0 and guess. The previous
    action and reward give nothing away, because the one action that does not end the episode is 0 whatever
    the cue was; were any action free, an agent could note the cue in it and read it back from its own input.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, num_envs: int = 1, *, cues: int = 4, delay: int = 10, noise: float = 1.0) -> None:
        _check(cues, delay, noise)
        self.num_envs = num_envs
        self.cues, self.delay, self.noise = cues, delay, noise
        self.max_episode_steps = delay + 2
        self.single_observation_space = Box(0.0, 1.0, (cues + 2,), np.float32)
        self.single_action_space = Discrete(cues)
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, num_envs)
        self._symbols = np.full((num_envs, delay + 2), -1)  # [N, steps] what each slot's episode shows
        self._time = np.zeros(num_envs, dtype=np.int64)  # [N] steps into the episode
        self._done = np.zeros(num_envs, dtype=np.bool_)  # [N] whether the coming step restarts the slot
        self._rows = np.arange(num_envs)
        self._rngs: list[np.random.Generator] = []

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Restarts every slot, slot i from seed + i; without a seed the random streams go on."""
        if seed is not None or not self._rngs:
            seeds = (
                seed if isinstance(seed, list) else [None if seed is None else seed + i for i in self._rows]
            )
            self._rngs = [gym.utils.seeding.np_random(None if s is None else int(s))[0] for s in seeds]
        for slot in range(self.num_envs):
            self._begin(slot)
        self._done[:] = False
        return self._observation(), {}

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[
        NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]
    ]:
        """Acts once in every slot; slots that were done restart instead."""
        asked = self._time == self.delay + 1  # [N]
        expected = np.where(asked, self._symbols[:, 0], 0)  # [N]
        playing = ~self._done
        wrong = (actions != expected) & playing
        right = (actions == expected) & asked & playing
        reward = right.astype(np.float32) - wrong.astype(np.float32)
        terminated = right | wrong
        self._time += 1
        for slot in np.flatnonzero(self._done):
            self._begin(int(slot))
        self._done = terminated.copy()
        return self._observation(), reward, terminated, np.zeros(self.num_envs, dtype=np.bool_), {}

    def _begin(self, slot: int) -> None:
        self._symbols[slot] = recall_episode(self._rngs[slot], self.cues, self.delay, self.noise)
        self._time[slot] = 0

    def _observation(self) -> NDArray[np.float32]:
        """What each slot shows now, [N, cues + 2]; nothing but zeros after the answer."""
        over = self._time > self.delay + 1
        symbol = np.where(over, -1, self._symbols[self._rows, np.minimum(self._time, self.delay + 1)])
        observation = np.zeros((self.num_envs, self.cues + 2), dtype=np.float32)
        shown = symbol >= 0
        observation[self._rows[shown], symbol[shown]] = 1.0
        observation[:, self.cues] = self._time == 0
        observation[:, self.cues + 1] = self._time == self.delay + 1
        return observation


class RecallEnv(gym.Env[NDArray[np.float32], np.int64]):
    """One slot of `RecallVectorEnv` as a plain gymnasium environment: same seed, same episodes."""

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012

    def __init__(
        self, *, cues: int = 4, delay: int = 10, noise: float = 1.0, render_mode: str | None = None
    ) -> None:
        self._env = RecallVectorEnv(1, cues=cues, delay=delay, noise=noise)
        self.max_episode_steps = self._env.max_episode_steps
        self.observation_space = self._env.single_observation_space
        self.action_space = self._env.single_action_space
        self.render_mode = render_mode
        self._shown = np.zeros(cues + 2, dtype=np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Starts an episode; returns the cue [cues + 2]."""
        super().reset(seed=seed)
        self._env._rngs = [self.np_random]
        self._shown = self._env.reset()[0][0]
        return self._shown.copy(), {}

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Acts once; never truncates."""
        observation, reward, terminated, _, _ = self._env.step(np.array([action]))
        self._shown = observation[0]
        return self._shown.copy(), float(reward[0]), bool(terminated[0]), False, {}

    def render(self) -> NDArray[np.uint8]:
        """The observation as a row of grey squares, [16, 16 * (cues + 2), 3]."""
        grey = np.kron(self._shown[None] * 255, np.ones((16, 16))).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)


def _check(cues: int, delay: int, noise: float) -> None:
    if cues < 2:
        raise EnvError(f"cues must be at least 2, or there is nothing to recall, got {cues}")
    if not 0 <= delay <= MAX_DELAY:
        raise EnvError(f"delay must be in [0, {MAX_DELAY}] steps, got {delay}")
    if not 0.0 <= noise <= 1.0:
        raise EnvError(f"noise must be a probability in [0, 1], got {noise}")
