"""HindsightReplayBuffer: hindsight experience replay for Stable-Baselines3 (Andrychowicz et al. 2017).

    model = SAC("MultiInputPolicy", env, replay_buffer_class=HindsightReplayBuffer,
                replay_buffer_kwargs={"goal_selection_strategy": "future", "n_sampled_goal": 4})

With uniform draws it equals SB3's HerReplayBuffer bit for bit, with each observation stored once; it also supports
n-step returns and priorities, which that one lacks. Goals are chosen whenever a batch is drawn, as in SB3, unlike
the copies of `r2d2.replay.relabelers`: an item's priority is then for the goal with which it was last drawn.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import HerReplayBuffer
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from stable_baselines3.her.goal_selection_strategy import GoalSelectionStrategy

from r2d2.integrations.sb3.admitted import Admitted
from r2d2.integrations.sb3.buffer import BLOCK, ReplayBuffer
from r2d2.integrations.sb3.selection import Selection
from r2d2.integrations.sb3.steps import column_of
from r2d2.integrations.sb3.transitions import Drawn, Samples, Transitions
from r2d2.replay import Selector
from r2d2.types import Codec

Ints = NDArray[np.int64]
Strategy = Literal["final", "future", "episode", "random"]

KEYS = ("observation", "achieved_goal", "desired_goal")
ACHIEVED, DESIRED = column_of("achieved_goal"), column_of("desired_goal")


class HindsightReplayBuffer(ReplayBuffer, HerReplayBuffer):  # type: ignore[misc]
    """Transitions of finished episodes, a share of n_sampled_goal / (n_sampled_goal + 1) of each batch relabeled.

    The new goal is one that was achieved in the same episode: after its last step (`final`), after a random step
    from the transition's own on (`future`, as SB3 and unlike the paper with the transition's own), after
    any step (`episode`); or in any finished episode that is held (`random`). It is the goal of all steps of an
    n-step return. Rewards come from the `compute_reward` of the first environment; with `copy_info_dict` it gets
    the steps' info, which is then stored. Whether an episode ended is not changed. SB3 sets `env` itself. All
    other arguments are `ReplayBuffer`'s.

    When an episode's first step is overwritten, the whole episode is removed.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Dict,
        action_space: spaces.Space,
        env: VecEnv,
        device: torch.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        *,
        n_sampled_goal: int = 4,
        goal_selection_strategy: Strategy | GoalSelectionStrategy = "future",
        copy_info_dict: bool = False,
        n_steps: int = 1,
        gamma: float | None = None,
        selector: Selection = "uniform",
        alpha: float | None = None,
        codec: Codec = "lz4",
        block: int = BLOCK,
        seed: int | None = None,
    ) -> None:
        strategy = goal_selection_strategy
        if isinstance(strategy, GoalSelectionStrategy):
            strategy = strategy.name.lower()  # type: ignore[assignment]
        _check(observation_space, n_sampled_goal, strategy)
        self.strategy = strategy
        self.env: VecEnv | None = env
        self.her_ratio = 1 - (1.0 / (n_sampled_goal + 1))
        self.copy_info_dict = copy_info_dict
        super().__init__(
            buffer_size,
            observation_space,
            action_space,
            device,
            n_envs,
            optimize_memory_usage,
            handle_timeout_termination,
            n_steps=n_steps,
            gamma=gamma,
            selector=selector,
            alpha=alpha,
            codec=codec,
            block=block,
            seed=seed,
        )

    def _make_selector(self) -> Selector:
        return Admitted(super()._make_selector(), self.buffer_size * self.n_envs)

    def reset(self) -> None:
        """Empty the buffer."""
        super().reset()
        shape = (self.buffer_size, self.n_envs)
        self.ep_start = np.zeros(shape, np.int64)  # slot of the first step of each step's episode
        self.ep_length = np.zeros(
            shape, np.int64
        )  # its steps; 0 where it is not finished, or partly overwritten
        self._running = np.zeros(self.n_envs, np.int64)  # steps of each running episode
        self._valid: Ints | None = None  # flat places of transitions that can be drawn; None: recompute
        self.infos = np.full(shape if self.copy_info_dict else (0, 0), None, object)

    # -- writing -------------------------------------------------------------------------------------------

    def add(
        self,
        obs: Any,
        next_obs: Any,
        action: NDArray,
        reward: NDArray,
        done: NDArray,
        infos: list[dict[str, Any]],
    ) -> None:
        """As `ReplayBuffer`'s; removes overwritten episodes and admits finished ones."""
        pos = self.pos
        super().add(obs, next_obs, action, reward, done, infos)
        for env in np.flatnonzero(self.ep_length[pos]).tolist():  # the first slot of its episode
            slots = (pos + np.arange(self.ep_length[pos, env])) % self.buffer_size
            self.ep_length[slots, env] = 0
            self._admitted.remove(self._place(slots[1:], env))
            self._valid = None
        if self.copy_info_dict:
            self.infos[pos] = infos
        self._running += 1
        for env in np.flatnonzero(done).tolist():
            self._finish(env)

    def _reset_streams(self, streams: NDArray[np.bool_]) -> None:
        super()._reset_streams(streams)
        for env in np.flatnonzero(streams).tolist():
            self._finish(env)

    def _finish(self, env: int) -> None:
        """The environment's running episode has ended with the newest step."""
        length = min(int(self._running[env]), self.buffer_size)
        self._running[env] = 0
        slots = (self.pos - length + np.arange(length)) % self.buffer_size
        if length:
            self.ep_start[slots, env] = slots[0]
            self.ep_length[slots, env] = length
            self._admitted.admit(self._place(slots, env))
            self._valid = None

    @property
    def _admitted(self) -> Admitted:
        selector = self.replay.selector
        assert isinstance(selector, Admitted)
        return selector

    def _place(self, slots: Ints, env: int) -> Ints:
        return self.ids[slots, env] % self.replay.capacity

    def truncate_last_trajectory(self) -> None:
        """End the running episodes, as if by a time limit: the environments are about to be reset."""
        running = np.flatnonzero(self._running)
        if len(running):
            warnings.warn(
                "the last episodes in the buffer are taken to end here; if they continue, load it with "
                "truncate_last_traj=False",
                stacklevel=2,
            )
        for env in running.tolist():
            self.dones[self.pos - 1, env] = 1.0
            self.timeouts[self.pos - 1, env] = float(self.handle_timeout_termination)
            self._finish(env)

    # -- drawing -------------------------------------------------------------------------------------------

    def _draw(self, n: int) -> Drawn:
        """Transitions that keep their goals first, then those that get new ones."""
        if self._valid is None:
            self._valid = np.flatnonzero(self.ep_length)
        if len(self._valid) == 0:
            raise RuntimeError(
                "no episode is finished yet: make learning_starts larger than the longest episode, times n_envs"
            )
        if self.selector == "uniform":
            found = self._valid[self._legacy().randint(0, len(self._valid), size=n)]
            drawn = Drawn(found // self.n_envs, found % self.n_envs, np.ones(n, np.float32))
        else:
            # Stratified draws are ordered by place, so without this the oldest would get the new goals.
            drawn = self._draw_by_priority(n).take(self._generator().permutation(n))
        return drawn.take(np.roll(np.arange(n), -self._relabeled(n)))

    def _relabeled(self, n: int) -> int:
        return int(self.her_ratio * n)

    def _read(self, drawn: Drawn) -> Transitions:
        found = super()._read(drawn)
        count = self._relabeled(len(drawn.slots))
        if count == 0:
            return found
        chosen = slice(len(drawn.slots) - count, None)
        goals = self._goals(drawn.slots[chosen], drawn.envs[chosen])
        before, after = ({**part, DESIRED: part[DESIRED].copy()} for part in (found.before, found.after))
        before[DESIRED][chosen] = after[DESIRED][chosen] = goals
        rewards = found.rewards.copy()
        rewards[chosen] = self._rewards(found.ids[chosen], goals)
        return replace(found, before=before, after=after, rewards=rewards)

    def _goals(self, slots: Ints, envs: Ints) -> NDArray:
        """A new goal for each transition [V]."""
        start, length = self.ep_start[slots, envs], self.ep_length[slots, envs]
        match self.strategy:
            case "final":
                steps = length - 1
            case "future":
                steps = self._legacy().randint((slots - start) % self.buffer_size, length)
            case "episode":
                steps = self._legacy().randint(0, length)
            case _:
                assert self._valid is not None
                found = self._valid[self._legacy().randint(0, len(self._valid), size=len(slots))]
                start, envs, steps = found // self.n_envs, found % self.n_envs, np.zeros_like(slots)
        ids = self.ids[(start + steps) % self.buffer_size, envs]
        return self.replay.get(ids, [ACHIEVED]).columns[ACHIEVED][:, 1]

    def _rewards(self, ids: Ints, goals: NDArray) -> NDArray[np.float32]:
        """The rewards [V, n] of the steps with these ids for these goals [V, ...]."""
        if self.env is None:
            raise RuntimeError("rewards need the environment: call set_env(env) on the buffer first")
        flat = ids.reshape(-1)
        achieved = self.replay.get(flat, [ACHIEVED]).columns[ACHIEVED][:, 1]
        infos: Any = [{} for _ in flat]
        if self.copy_info_dict:
            where = self._where[flat % self.replay.capacity]
            infos = copy.deepcopy(self.infos.reshape(-1)[where])
        wanted = np.repeat(goals, ids.shape[1], axis=0)
        got = self.env.env_method("compute_reward", achieved, wanted, infos, indices=[0])[0]
        return np.asarray(got, np.float32).reshape(ids.shape)

    def _get_samples(  # type: ignore[override]
        self, batch_inds: NDArray, env: VecNormalize | None = None
    ) -> Samples:
        """The transitions in these slots, each of a random environment, with their own goals."""
        drawn = self._of_any_environment(np.asarray(batch_inds))
        return self._samples(ReplayBuffer._read(self, drawn), env)

    # -- saving --------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Everything except learner and environment, which SB3 sets again."""
        return {**ReplayBuffer.__getstate__(self), "env": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        ReplayBuffer.__setstate__(self, state)


def _check(space: spaces.Space, n_sampled_goal: int, strategy: Any) -> None:
    if not isinstance(space, spaces.Dict) or not set(KEYS) <= space.spaces.keys():
        raise ValueError(f"observation_space must be a Dict with {', '.join(KEYS)}, got {space}")
    if n_sampled_goal < 0:
        raise ValueError(f"n_sampled_goal must be at least 0 (0 relabels nothing), got {n_sampled_goal}")
    if strategy not in get_args(Strategy):
        raise ValueError(
            f"goal_selection_strategy must be one of {', '.join(get_args(Strategy))}, got {strategy!r}"
        )
