"""A network's state in parallel episodes: in those that it plays (`ActingState`), and in recorded ones
(`CoreStates`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from r2d2.agent.actor_critic import AgentNetwork
from r2d2.agent.inputs import ALL, FrameStack, to_device
from r2d2.agent.precision import autocast
from r2d2.types import FROZEN, as_previous, no_previous

Columns = Mapping[str, NDArray]  # the observation columns [N, ...] by name


class ActingState:
    """The newest observations, the previous action and reward, and the core state of N episodes, which begin with
    these observations.

    The arrays are those that a replay stores of this step. `core` [N, C] is the state before the observation.
    """

    def __init__(self, network: AgentNetwork, observation: Columns, device: torch.device) -> None:
        self.network, self.device = network, device
        self.observation = _copies(observation)  # of each column [N, ...]
        n = len(next(iter(self.observation.values())))
        self._frames = FrameStack(network.inputs, n, device)
        self._frames.push(self.observation)
        self._frames.begin(ALL)
        self._frozen: NDArray[np.float16] | None = None  # features of what is in `_frames`, once computed
        self.core = torch.zeros(n, network.core_size, device=device)
        self.previous_action = no_previous(n, network.inputs.action_size)
        self.previous_reward = np.zeros(n, np.float32)

    @property
    def columns(self) -> dict[str, NDArray]:
        """What a replay stores of the current observations: these, and the features of a frozen encoder."""
        frozen = self._frozen_features()
        return self.observation if frozen is None else {**self.observation, FROZEN: frozen}

    def _frozen_features(self) -> NDArray[np.float16] | None:
        if self.network.frozen is not None and self._frozen is None:
            self._frozen = self.network.frozen(self._frames.stacked()).cpu().numpy()
        return self._frozen

    @torch.no_grad()
    def forward(
        self,
        at: slice = ALL,
        precision: torch.dtype = torch.float32,
        exploration: NDArray[np.float32] | None = None,
    ) -> tuple[NDArray[np.float32], torch.Tensor]:
        """What the network answers to the current observations (`agent.choice`), as Q values [N, A], and the core
        state after them [N, C], of some episodes. `exploration` is for networks that take it."""
        frozen = self._frozen_features()
        seen = None if frozen is None else frozen[at]
        inputs = self._frames.read(self.previous_action[at], self.previous_reward[at], at, seen)
        with autocast(precision, self.device):
            if exploration is None:
                answer, core = self.network.step(inputs, self.core[at])
            else:
                drawn = to_device(exploration, self.device)
                answer, core = self.network.step(inputs, self.core[at], drawn)
        return answer.cpu().numpy(), core

    def advance(
        self,
        observation: Columns,
        action: NDArray,
        reward: NDArray[np.float32],
        core: torch.Tensor,
    ) -> None:
        """Move on to what the actions led to; `core` is the state that `forward` gave."""
        self.observation = _copies(observation)
        self._frames.push(self.observation)
        self._frozen = None
        self.core = core
        self.previous_action = as_previous(action)
        self.previous_reward = reward.astype(np.float32)  # a copy, since `begin` writes into it

    def begin(self, episodes: NDArray[np.bool_]) -> None:
        """The current observations of these are the first of an episode."""
        begun = to_device(np.flatnonzero(episodes), self.device)
        self._frames.begin(begun)
        self._frozen = None
        self.core[begun] = 0.0
        self.previous_action[episodes] = 0
        self.previous_reward[episodes] = 0.0


class CoreStates:
    """Follows up to N streams of rows, one row of some of them at a time, with the states `Actor` would have.

    Call it with columns [K, ...], which rows begin an episode [K] (there the state is zero) and their streams
    [K], all different; it returns the states [K, C] before these rows.
    """

    def __init__(self, network: AgentNetwork, streams: int) -> None:
        self.network = network
        self.device = next(network.parameters()).device
        self._frames = FrameStack(network.inputs, streams, self.device)
        self._core = torch.zeros(streams, network.core_size, device=self.device)

    @torch.no_grad()
    def __call__(
        self, values: Mapping[str, NDArray], first: NDArray[np.bool_], streams: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        at, begun = (to_device(chosen, self.device) for chosen in (streams, streams[first]))
        self._frames.push(values, at)
        self._frames.begin(begun)
        self._core[begun] = 0.0
        before = self._core[at]
        previous = values["previous_action"], values["previous_reward"]
        inputs = self._frames.read(*previous, at, values.get(FROZEN))
        self._core[at] = self.network.unroll(self.network.encode_for_state(inputs), before)[1]
        return before.cpu().numpy()


class FrozenFeatures:
    """The frozen features that `Actor` would record with the rows of up to N streams; called as `CoreStates` is."""

    def __init__(self, network: AgentNetwork, streams: int) -> None:
        assert network.frozen is not None
        self.encoder, self.device = network.frozen, next(network.parameters()).device
        self._frames = FrameStack(network.inputs, streams, self.device)

    def __call__(
        self, values: Mapping[str, NDArray], first: NDArray[np.bool_], streams: NDArray[np.int64]
    ) -> NDArray[np.float16]:
        at, begun = (to_device(chosen, self.device) for chosen in (streams, streams[first]))
        self._frames.push(values, at)
        self._frames.begin(begun)
        found: NDArray[np.float16] = self.encoder(self._frames.stacked(at)).cpu().numpy()
        return found


def _copies(observation: Columns) -> dict[str, NDArray]:
    """Copies, which nothing else writes to."""
    return {name: np.array(value) for name, value in observation.items()}
