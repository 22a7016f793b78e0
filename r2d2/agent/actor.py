"""Actor: a vector of environments, one batched forward a step, one epsilon for each environment.

The environments reset themselves on the step after an episode's end (Gymnasium's NEXT_STEP mode), so the
row of that step is exactly the row that holds only the final observation, and every stream gets one row a
step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from r2d2.agent.acting_state import ActingState
from r2d2.agent.acting_stream import ActingStream
from r2d2.agent.actor_critic import AgentNetwork
from r2d2.agent.choice import choice_of
from r2d2.agent.inputs import ALL
from r2d2.agent.precision import Precision, dtype_of
from r2d2.types import Rows, begins_episode, observation_columns

SMALLEST = 1e-30  # probability of an action that was recorded; ours: of rows that have none
LifeLoss = Literal["none", "reset", "roll"]
Observation = NDArray | Mapping[str, NDArray]  # [N, ...]


class Result(Protocol):
    """What one step of a vector environment answers; arrays [N] and observation [N, ...]."""

    @property
    def observation(self) -> Observation: ...
    @property
    def reward(self) -> NDArray[np.float32]: ...
    @property
    def terminated(self) -> NDArray[np.bool_]: ...
    @property
    def truncated(self) -> NDArray[np.bool_]: ...
    @property
    def life_lost(self) -> NDArray[np.bool_]: ...


class Environments(Protocol):
    """A vector of N environments with NEXT_STEP auto-reset."""

    @property
    def num_envs(self) -> int: ...
    def reset(self, seed: int) -> Observation: ...
    def step(self, action: NDArray) -> Result: ...


@runtime_checkable
class Splittable(Protocol):
    """Environments in parts, each of which can play while the network works on another."""

    @property
    def parts(self) -> list[slice]: ...
    def begin(self, number: int, action: NDArray) -> None: ...
    def finish_all(self) -> Result: ...


class Episode(NamedTuple):
    """One finished episode, with raw rewards."""

    slot: int
    total: float
    length: int  # agent steps


class Actor:
    """Acts and hands out rows; the caller writes them into a replay.

    `life_loss` says what a lost life means to the learner: `none` nothing, `roll` it cuts the bootstrap but
    the recurrent state rolls on, `reset` it also ends the episode for replay and state (R2D2 section 5).
    `repeat_exponent` is that of `EpsilonGreedy`. `records_behavior` adds the log probability of each action, under
    the epsilon that it was chosen with.
    """

    def __init__(
        self,
        environments: Environments,
        network: AgentNetwork,
        *,
        rng: np.random.Generator,
        life_loss: LifeLoss = "none",
        records_behavior: bool = False,
        repeat_exponent: float = 0.0,
        device: torch.device | str = "cpu",
        precision: Precision = "float32",
    ) -> None:
        self.environments = environments
        self.network = network
        self.device = torch.device(device)
        self.precision = dtype_of(precision, self.device)
        self.stream = ActingStream(self.device)
        self.rng = rng
        self.life_loss, self.records_behavior = life_loss, records_behavior
        self.choice = choice_of(network, repeat_exponent)
        self._halves = environments if isinstance(environments, Splittable) else None
        self.epsilon = np.zeros(environments.num_envs)  # [N] probability of a random action
        self.noise = 0.0  # of vector actions, in standard deviations
        self.episodes: deque[Episode] = deque()  # finished since the caller last emptied it
        self.steps = 0  # environment steps (agent decisions)

    def reset(self, seed: int) -> None:
        """Restart every environment, environment i with seed + i; unfinished episodes are forgotten."""
        n = self.environments.num_envs
        observation = observation_columns(self.environments.reset(seed))
        with self.stream.entered():
            self.state = ActingState(self.network, observation, self.device)
        self.choice.begin(ALL)
        self._ended = np.zeros(n, np.bool_)  # the current observation is the last of its episode
        self._total = np.zeros(n)
        self._length = np.zeros(n, np.int64)

    def step(self, *, cut: bool = False) -> list[Rows]:
        """One step of every environment; returns the rows to write, in order.

        `cut` truncates every running episode after this step (it bootstraps from the observation reached);
        `reset` must follow.
        """
        with self.stream.entered():
            return self._step(cut=cut)

    def _step(self, *, cut: bool) -> list[Rows]:
        n = self.environments.num_envs
        last = self._ended
        answer, action, core_after, result = self._play(self.choice.draw(self.epsilon, self.noise, self.rng))
        reward = result.reward.astype(np.float32)
        terminated = result.terminated | (result.life_lost & (self.life_loss != "none"))
        truncated = result.truncated | (cut & ~result.terminated & ~last)
        values = self._values(answer, action, reward, terminated, truncated)
        values["action"][last] = 0
        rows = [Rows(values, last, self.state.core.cpu().numpy(), np.arange(n))]
        self._count(result, last, reward)
        self.state.advance(observation_columns(result.observation), action, reward, core_after)
        self._ended = result.terminated | result.truncated
        if last.any():
            self._begin(last)
        split = ~last if cut else result.life_lost & ~self._ended & ~last & (self.life_loss == "reset")
        if split.any():
            rows.append(self._final_rows(split, bootstrap=cut))
            self._begin(split)
        return rows

    @torch.no_grad()
    def end(self) -> list[Rows]:
        """End the running episodes with the current observations, without a step; returns the rows to write.

        `reset` must follow. For environments that failed: what they observed last is their final observation.
        """
        running = ~begins_episode(self.state.previous_action)  # an action led to the current observation
        if not running.any():
            return []
        with self.stream.entered():
            rows = self._final_rows(running, bootstrap=True)
            self._begin(running)
        return [rows]

    def _play(self, drawn: NDArray) -> tuple[NDArray[np.float32], NDArray, torch.Tensor, Result]:
        """Choose the actions and take the step: of halves one after the other, so that the network works on the
        second while the first plays. Returns the network's answers, the actions and the core states too."""
        halves = self._halves
        found = []
        for number, part in enumerate([ALL] if halves is None else halves.parts):
            answer, core = self.state.forward(part, self.precision, self.choice.asked(drawn[part]))
            action = self.choice.actions(answer, drawn[part])
            if halves is not None:
                halves.begin(number, action)
            found.append((answer, action, core))
        answer, action = (np.concatenate([arrays[k] for arrays in found]) for k in (0, 1))
        core = torch.cat([core for _, _, core in found])
        result = self.environments.step(action) if halves is None else halves.finish_all()
        return answer, action, core, result

    def _begin(self, streams: NDArray[np.bool_]) -> None:
        """The current observations of these streams are the first of an episode."""
        self.state.begin(streams)
        self.choice.begin(streams)

    def _values(
        self, answer: NDArray, action: NDArray, reward: NDArray, terminated: NDArray, truncated: NDArray
    ) -> dict[str, NDArray]:
        values = {
            **self.state.columns,
            "previous_action": self.state.previous_action,
            "previous_reward": self.state.previous_reward,
            "reward": reward,
            "terminated": terminated,
            "truncated": truncated,
            **self.choice.recorded(answer, action),
        }
        if self.records_behavior:
            greedy = self.choice.greedy(answer) == action
            chance = (1.0 - self.epsilon) * greedy + self.epsilon / self.network.actions
            values["log_probability"] = np.log(np.maximum(chance, SMALLEST)).astype(np.float32)
        return values

    def _final_rows(self, streams: NDArray[np.bool_], *, bootstrap: bool) -> Rows:
        """Rows that hold only the current, final observation of these streams' episodes."""
        n = self.environments.num_envs
        answer, action = self.choice.nothing(n)
        if bootstrap:
            answer = self.state.forward(precision=self.precision)[0]
        none = np.zeros(n, np.bool_)
        values = self._values(answer, action, np.zeros(n, np.float32), none, none)
        chosen = {name: value[streams] for name, value in values.items()}
        count = int(streams.sum())
        core = self.state.core.cpu().numpy()[streams]
        return Rows(chosen, np.ones(count, np.bool_), core, np.flatnonzero(streams))

    def _count(self, result: Result, last: NDArray[np.bool_], reward: NDArray[np.float32]) -> None:
        self.steps += int(np.count_nonzero(~last))
        self._total += reward
        self._length += ~last
        for slot in np.flatnonzero(result.terminated | result.truncated).tolist():
            self.episodes.append(Episode(slot, float(self._total[slot]), int(self._length[slot])))
            self._total[slot] = 0.0
            self._length[slot] = 0

    def running(self) -> list[Episode]:
        """The unfinished episodes, as far as they have come."""
        return [Episode(i, float(self._total[i]), int(n)) for i, n in enumerate(self._length)]

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Act with these weights, a state dict of the network."""
        with self.stream.paused():
            self.network.load_state_dict(weights)

    def state_dict(self) -> dict[str, Any]:
        """What survives a barrier: environments and core states do not, they are reset there."""
        return {"rng": self.rng.bit_generator.state, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rng.bit_generator.state = state["rng"]
        self.steps = state["steps"]


def epsilon_ladder(environments: int, *, base: float = 0.4, power: float = 7.0) -> NDArray[np.float64]:
    """eps_i = base^(1 + power i / (N - 1)), one per environment (Ape-X section 4; R2D2 appendix).

    >>> epsilon_ladder(3).round(4).tolist()
    [0.4, 0.0162, 0.0007]
    """
    if environments == 1:
        return np.array([base ** (1.0 + power / 2.0)])  # the ladder's geometric middle
    return base ** (1.0 + power * np.arange(environments) / (environments - 1))
