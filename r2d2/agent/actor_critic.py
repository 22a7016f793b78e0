"""ActorCritic: the networks of continuous control, a policy and its critics, as one module."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

import torch
from torch import Tensor, nn

from r2d2.agent.frozen import FrozenEncoder, frozen_size
from r2d2.agent.heads.critic import Critic
from r2d2.agent.heads.policy import DeterministicPolicy, GaussianPolicy
from r2d2.agent.inputs import InputLayout, Inputs
from r2d2.agent.networks import QNetwork, Trunk
from r2d2.agent.normalization import Normalization
from r2d2.agent.policies import action_log_probability, gaussian_log_probability, soft_value, squashed
from r2d2.agent.stages import stage
from r2d2.config.network import NetworkConfig
from r2d2.types import ObservationSpec

TEMPERATURE = 1.0  # at the start (SAC's code, Stable-Baselines3)


class ActorCritic(nn.Module):
    """A policy over vectors of `actions` numbers from -1 to 1, and `critics` estimates of Q(s, a).

    Each has a torso and a core of its own, or with `network.shared_core` one for all, which only the critics
    train. Core inputs, outputs and states of all of them are concatenated in one tensor each, the policy's first.
    A critic's core sees what the policy's sees; the action that it values enters its head. So the states do not
    depend on that action, and one pass along a sequence serves every action.

    `stochastic` is SAC's squashed Gaussian, else the policy is deterministic. The temperature is a parameter here,
    so that it is part of the weights that actors get.
    """

    def __init__(
        self,
        observations: Mapping[str, ObservationSpec],
        actions: int,
        config: NetworkConfig,
        *,
        critics: int = 2,
        stochastic: bool = True,
    ) -> None:
        super().__init__()
        frozen = frozen_size(len(observations), config)
        self.inputs = InputLayout(observations, config.stack, actions, frozen)
        self.actions, self.stochastic = actions, stochastic
        self.previous_inputs = config.previous_inputs
        self.normalization = Normalization(observations, config.stack) if config.normalize else None
        first = Trunk(self.inputs, actions, config)
        # Without parameters all of them are the same one.
        self.shared = config.shared_core or not any(True for _ in first.parameters())
        count = trunks(critics, shared=self.shared)
        self.trunks = nn.ModuleList([first, *(Trunk(self.inputs, actions, config) for _ in range(count - 1))])
        self.width: int = first.width
        self.core_size: int = count * first.core_size
        kind = GaussianPolicy if stochastic else DeterministicPolicy
        self.policy = kind(self.width, actions, config.hidden)
        self.critics = nn.ModuleList(Critic(self.width, actions, config.hidden) for _ in range(critics))
        if stochastic:
            self.log_temperature = nn.Parameter(torch.tensor([math.log(TEMPERATURE)]))
        self.frozen = FrozenEncoder(observations, config) if frozen else None

    # -- along sequences -------------------------------------------------------------------------------

    def encode(self, inputs: Inputs) -> Tensor:
        """Inputs of `unroll` [T, B, F] of all trunks."""
        if self.normalization is not None:
            flat = {name: value.flatten(0, 1) for name, value in inputs.observation.items()}
            steps = inputs.previous_action.shape[:2]
            normal = {name: value.unflatten(0, steps) for name, value in self.normalization(flat).items()}
            inputs = replace(inputs, observation=normal)
        return torch.cat([trunk.encode(inputs) for trunk in self.trunks], -1)  # type: ignore[operator]

    def encode_for_state(self, inputs: Inputs) -> Tensor:
        """See `Trunk.encode_for_state`."""
        if inputs.frozen is None:
            return self.encode(inputs)
        return torch.cat([trunk.encode_for_state(inputs) for trunk in self.trunks], -1)  # type: ignore[operator]

    def unroll(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs [T, B, W] of all trunks and the states [B, C] after the last inputs, [T, B, F]."""
        n = len(self.trunks)
        parts = zip(self.trunks, inputs.chunk(n, -1), state.chunk(n, -1), strict=True)
        found = [trunk.unroll(x, before) for trunk, x, before in parts]  # type: ignore[operator]
        outputs, states = zip(*found, strict=True)
        return torch.cat(outputs, -1), torch.cat(states, -1)

    # -- heads -----------------------------------------------------------------------------------------

    def q(self, outputs: Tensor, action: Tensor) -> Tensor:
        """Q(s, a), float32 [critics, ...], of core outputs [..., W] and actions [..., A]."""
        with stage("heads"):
            seen = [self._of(outputs, 1 + i) for i in range(len(self.critics))]
            return torch.stack([critic(x, action) for critic, x in zip(self.critics, seen, strict=True)])

    def distribution(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation [..., A] of the stochastic policy before it is squashed."""
        with stage("heads"):
            mean, log_deviation = self.policy(self._policy_outputs(outputs))
            return mean.float(), log_deviation.float()

    def sample(self, outputs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """An action [..., A] of the stochastic policy and its log probability [...]; `noise` is standard normal."""
        mean, log_deviation = self.distribution(outputs)
        return squashed(mean, log_deviation, noise), gaussian_log_probability(mean, log_deviation, noise)

    def action(self, outputs: Tensor) -> Tensor:
        """The deterministic policy's action [..., A]; of a stochastic one that of its mean."""
        if self.stochastic:
            return self.distribution(outputs)[0].tanh()
        with stage("heads"):
            action: Tensor = self.policy(self._policy_outputs(outputs)).float()
            return action

    @property
    def temperature(self) -> Tensor:
        """The weight [1] of the entropy."""
        return self.log_temperature.exp()

    def values(self, outputs: Tensor) -> Tensor:
        """Q [..., critics] of the policy's own action: what staleness and memory tests compare."""
        return self.q(outputs, self.action(outputs)).movedim(0, -1)

    def _policy_outputs(self, outputs: Tensor) -> Tensor:
        own = self._of(outputs, 0)
        return own.detach() if self.shared else own

    def _of(self, outputs: Tensor, number: int) -> Tensor:
        """The part of one trunk; 0 is the policy's."""
        if self.shared:
            return outputs
        return outputs[..., number * self.width : (number + 1) * self.width]

    # -- acting ----------------------------------------------------------------------------------------

    def answer(self, outputs: Tensor, exploration: Tensor | None = None) -> Tensor:
        """What `NoisyPolicy` reads [N, A + 3]: the action taken, Q(s, a) as the mean of the critics, the value of
        the policy, and log pi(a).

        `exploration` [N, 2 A] is noise, of which the policy makes an action, and an action that is taken instead
        where it is not NaN. Without it the action is the greedy one.
        """
        shape = (*outputs.shape[:-1], 2 * self.actions)
        if exploration is None:
            exploration = torch.full(shape, math.nan, device=outputs.device)
            exploration[..., : self.actions] = 0.0
        noise, given = exploration.chunk(2, -1)
        if self.stochastic:
            mean, log_deviation = self.distribution(outputs)
            own = chosen = squashed(mean, log_deviation, noise)
        else:
            own = self.action(outputs)
            chosen = (own + noise).clamp(-1.0, 1.0)
        action = torch.where(given.isnan(), chosen, given)
        both = self.q(torch.cat([outputs, outputs]), torch.cat([action, own]))  # in one pass
        q_taken, q_own = both.unflatten(1, (2, -1)).unbind(1)
        value, log_probability = q_own.amin(0), torch.zeros_like(q_own[0])
        if self.stochastic:
            found = action_log_probability(mean, log_deviation, torch.stack([action, own]))
            log_probability, value = found[0], soft_value(q_own, found[1], self.temperature)
        return torch.cat([action, torch.stack([q_taken.mean(0), value, log_probability], -1)], -1)

    def step(self, inputs: Inputs, state: Tensor, exploration: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One step of N environments: `answer` [N, A + 3] and the next states [N, C]; inputs [1, N, ...]."""
        encoded, n = self.encode(inputs), len(self.trunks)
        parts = zip(self.trunks, encoded.chunk(n, -1), state.chunk(n, -1), strict=True)
        found = [trunk.advance(x, before) for trunk, x, before in parts]  # type: ignore[operator]
        outputs, states = (torch.cat(tensors, -1) for tensors in zip(*found, strict=True))
        return self.answer(outputs, exploration), states

    # -- learning --------------------------------------------------------------------------------------

    def groups(self) -> list[list[nn.Parameter]]:
        """Parameters that are clipped together: of the critics and a shared trunk, the policy, the temperature."""
        policy = [*self.policy.parameters()]
        critics = [*self.critics.parameters()]
        for number, trunk in enumerate(self.trunks):
            (policy if number == 0 and not self.shared else critics).extend(trunk.parameters())
        return [critics, policy, *([[self.log_temperature]] if self.stochastic else [])]

    def flatten_core(self) -> None:
        """See `Trunk.flatten_core`."""
        for trunk in self.trunks:
            trunk.flatten_core()  # type: ignore[operator]


AgentNetwork: TypeAlias = QNetwork | ActorCritic


def trunks(critics: int, *, shared: bool) -> int:
    """How many torsos with a core a policy and its critics have."""
    return 1 if shared else 1 + critics


def unroll_past(
    network: AgentNetwork, inputs: Tensor, state: Tensor, cut: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Core outputs of all rows, the state before row `cut`, and the state after the last row. A cut left of the
    first row is at the first."""
    if not 0 < cut < len(inputs):
        outputs, end = network.unroll(inputs, state)
        return outputs, state if cut <= 0 else end, end
    first, middle = network.unroll(inputs[:cut], state)
    rest, end = network.unroll(inputs[cut:], middle)
    return torch.cat([first, rest]), middle, end
