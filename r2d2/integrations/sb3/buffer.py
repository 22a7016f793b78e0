"""ReplayBuffer: our replay as a `replay_buffer_class` for Stable-Baselines3.

    model = TD3("MlpPolicy", env, replay_buffer_class=ReplayBuffer)
    model = DQN("CnnPolicy", env, replay_buffer_class=ReplayBuffer,
                replay_buffer_kwargs={"n_steps": 3, "gamma": 0.99, "selector": "proportional"})

With uniform draws training is bit for bit the same as with SB3's own buffers: it holds the same transitions and
draws them with the same random numbers. Each observation is stored once, images compressed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common import buffers
from stable_baselines3.common.type_aliases import DictReplayBufferSamples, ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from r2d2.integrations.sb3.selection import Selection, check_arguments, make_selector
from r2d2.integrations.sb3.steps import Steps, column_of, observation_columns, parts_of
from r2d2.integrations.sb3.transitions import Drawn, Learner, Samples, Transitions, n_step_return
from r2d2.replay import Replay, Selector
from r2d2.replay.draw import weights_of
from r2d2.types import Codec, Column

Ints = NDArray[np.int64]

BLOCK = 8  # frames compressed together; ours: a transition decodes its whole block (stacks of 4: 20 us)


class ReplayBuffer(buffers.ReplayBuffer):
    """The last `buffer_size` // `n_envs` transitions of each environment.

    The arguments before the star are SB3's, which passes all but the last itself. `n_steps` > 1 makes n-step
    returns and needs the model's `gamma`. `selector` "proportional" or "rank" draws by priority and needs
    `learn(callback=PrioritizedLoss())`, which returns TD errors and applies weights to the loss; `alpha` is the
    exponent of priorities, `None` the paper's. Images are stored with `codec` in blocks of `block` steps.
    Random numbers come from numpy's global generator, which SB3 seeds, or with `seed` from the buffer's own.

    It inherits SB3's type, which SB3 checks for, but none of its arrays.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        device: torch.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        *,
        n_steps: int = 1,
        gamma: float | None = None,
        selector: Selection = "uniform",
        alpha: float | None = None,
        codec: Codec = "lz4",
        block: int = BLOCK,
        seed: int | None = None,
    ) -> None:
        buffers.BaseBuffer.__init__(self, buffer_size, observation_space, action_space, device, n_envs=n_envs)
        check_arguments(buffer_size, n_envs, optimize_memory_usage, n_steps, gamma, selector, alpha, codec)
        self.buffer_size = buffer_size // n_envs
        self.optimize_memory_usage = False
        self.handle_timeout_termination = handle_timeout_termination
        self.n_steps, self.gamma = n_steps, gamma
        self.selector, self.alpha = selector, alpha
        self.block = block
        self.learner: Learner | None = None
        self.columns = observation_columns(observation_space, codec) | {
            "action": Column((self.action_dim,), str(np.dtype(self._maybe_cast_dtype(action_space.dtype)))),
            "reward": Column(),
        }
        self._observations = list(observation_columns(observation_space, codec))
        self.bits = None if seed is None else np.random.MT19937(seed)
        self.reset()

    def _make_steps(self) -> Steps:
        selector = self._make_selector()
        return Steps(self.columns, selector, streams=self.n_envs, each=self.buffer_size, block=self.block)

    def _make_selector(self) -> Selector:
        return make_selector(self.selector, self.buffer_size * self.n_envs, self.alpha)

    def reset(self) -> None:
        """Empty the buffer."""
        buffers.BaseBuffer.reset(self)
        shape = (self.buffer_size, self.n_envs)
        self.steps = self._make_steps()
        self.ids = np.full(shape, -1, np.int64)  # of the item that holds each of SB3's transitions
        self.dones = np.zeros(shape, np.float32)
        self.timeouts = np.zeros(shape, np.float32)
        self.breaks = np.zeros(shape, np.bool_)  # the environment was reset after it without being done
        self._where = np.zeros(shape, np.int64).reshape(-1)  # place of an item -> slot * n_envs + environment

    @property
    def replay(self) -> Replay:
        """The replay that holds the steps."""
        return self.steps.replay

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
        """One transition of every environment. An observation other than the last `next_obs` begins an episode."""
        before, after = self._rows(obs), self._rows(next_obs)
        after["action"] = self._as_column("action", action)
        after["reward"] = self._as_column("reward", reward)
        last = np.asarray(done, np.bool_)
        self._reset_streams(self.steps.begin(before))
        ids = self.steps.write(after, last)
        pos = self.pos
        self.ids[pos] = ids
        self._where[ids % self.replay.capacity] = pos * self.n_envs + np.arange(self.n_envs)
        self.dones[pos], self.timeouts[pos], self.breaks[pos] = last, False, False
        if self.handle_timeout_termination:
            self.timeouts[pos] = [bool(info.get("TimeLimit.truncated", False)) for info in infos]
        self.pos = (pos + 1) % self.buffer_size
        self.full = self.full or self.pos == 0

    def _reset_streams(self, streams: NDArray[np.bool_]) -> None:
        """These environments [N] were reset without being done."""
        self.breaks[self.pos - 1, streams] = True

    def _rows(self, observation: Any) -> dict[str, NDArray]:
        parts = parts_of(self.observation_space)
        return {
            column_of(key): self._as_column(column_of(key), observation[key] if key else observation)
            for key in parts
        }

    def _as_column(self, name: str, values: Any) -> NDArray:
        """Values as a copy [N, ...] in their column's dtype."""
        column = self.columns[name]
        given, shape = np.array(values), (self.n_envs, *column.shape)
        if given.size != math.prod(shape):
            raise ValueError(f"{name.rstrip('/')} must have shape {shape}, got {given.shape}")
        return given.reshape(shape).astype(column.dtype, copy=False)

    # -- drawing -------------------------------------------------------------------------------------------

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> Samples:  # type: ignore[override]
        """`batch_size` transitions, normalized by `env`."""
        drawn = self._draw(batch_size)
        found = self._read(drawn)
        samples = self._samples(found, env)
        if self.learner is not None:
            self.learner.drawn(samples, found.ids[:, 0], drawn.weight)
        return samples

    def _draw(self, n: int) -> Drawn:
        if self.size() == 0:
            raise ValueError("the buffer is empty: raise learning_starts, or add transitions before sampling")
        if self.selector != "uniform":
            return self._draw_by_priority(n)
        return self._of_any_environment(self._legacy().randint(0, self.size(), size=n))

    def _of_any_environment(self, slots: Ints) -> Drawn:
        envs = self._legacy().randint(0, self.n_envs, size=len(slots))
        return Drawn(slots, envs, np.ones(len(slots), np.float32))

    def _draw_by_priority(self, n: int) -> Drawn:
        if self.learner is None:
            raise RuntimeError(
                f'selector="{self.selector}" needs the TD errors of each batch: pass '
                "callback=PrioritizedLoss() to model.learn()"
            )
        selector = self.replay.selector
        places, probability = selector.sample(n, self._generator())
        where = self._where[places]
        weight = weights_of(selector, probability, self.learner.beta, "batch")
        return Drawn(where // self.n_envs, where % self.n_envs, weight)

    def _get_samples(  # type: ignore[override]
        self, batch_inds: NDArray, env: VecNormalize | None = None
    ) -> Samples:
        """The transitions in these slots, each of a random environment."""
        return self._samples(self._read(self._of_any_environment(np.asarray(batch_inds))), env)

    def _bits(self) -> Any:
        if self.bits is None:
            return np.random.get_bit_generator()  # type: ignore[attr-defined]
        return self.bits

    def _generator(self) -> np.random.Generator:
        return np.random.Generator(self._bits())

    def _legacy(self) -> np.random.RandomState:
        """SB3 draws integers with numpy's legacy API, whose numbers differ from `Generator.integers`."""
        return np.random.RandomState(self._bits())

    def update_priorities(self, ids: Ints, priorities: NDArray) -> None:
        """Priorities [K], absolute TD errors, of items by id."""
        self.replay.update_priorities(ids, priorities)

    # -- reading -------------------------------------------------------------------------------------------

    def _read(self, drawn: Drawn) -> Transitions:
        """The drawn transitions, each with up to n_steps - 1 steps that follow it in its episode."""
        slots, envs = drawn.slots[:, None], drawn.envs[:, None]
        steps = np.arange(self.n_steps)
        index = (slots + steps) % self.buffer_size
        ends = (self.dones[index, envs] > 0) | (self.timeouts[index, envs] > 0) | self.breaks[index, envs]
        ends |= steps >= (self.pos - 1 - slots) % self.buffer_size  # nothing newer of this stream
        ends[:, -1] = True
        length = ends.argmax(1) + 1
        index = (slots + np.minimum(steps, length[:, None] - 1)) % self.buffer_size
        ids, last = self.ids[index, envs], (index[:, -1], drawn.envs)
        first = self.replay.get(ids[:, 0]).columns
        after, rewards = first, first["reward"][:, 1:]
        if self.n_steps > 1:
            after = self.replay.get(ids[:, -1], self._observations).columns
            rewards = self.replay.get(ids.reshape(-1), ["reward"]).columns["reward"][:, 1].reshape(ids.shape)
        return Transitions(
            before={name: first[name][:, 0] for name in self._observations},
            action=first["action"][:, 1],
            after={name: after[name][:, 1] for name in self._observations},
            rewards=rewards,
            length=length,
            done=self.dones[last] * (1 - self.timeouts[last]),
            ids=ids,
        )

    def _samples(self, found: Transitions, env: VecNormalize | None) -> Samples:
        rewards, discounts = self._normalize_reward(found.rewards, env), None
        if self.n_steps > 1:
            assert self.gamma is not None
            rewards, discount = n_step_return(rewards, found.length, self.gamma)
            discounts = self.to_torch(discount)
        rest = self.to_torch(found.done[:, None]), self.to_torch(rewards), discounts
        before, after = (self._observation(part, env) for part in (found.before, found.after))
        kind = DictReplayBufferSamples if isinstance(before, dict) else ReplayBufferSamples
        return kind(before, self.to_torch(found.action), after, *rest)

    def _observation(self, columns: dict[str, NDArray], env: VecNormalize | None) -> Any:
        """Columns [B, ...] as SB3's networks take them."""
        if not isinstance(self.observation_space, spaces.Dict):
            single = self._normalize_obs(columns[column_of("")], env)
            assert not isinstance(single, dict)
            return self.to_torch(single)
        named = {key: columns[column_of(key)] for key in self.observation_space.spaces}
        normal = self._normalize_obs(named, env)
        assert isinstance(normal, dict)
        return {key: self.to_torch(part) for key, part in normal.items()}

    # -- saving --------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Everything except the learner, which the next call of `learn` sets."""
        state = {**self.__dict__, "learner": None}
        state["steps"] = self.steps.state_dict()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.steps = self._make_steps()
        self.steps.load_state_dict(state["steps"])
