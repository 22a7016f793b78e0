"""Networks: torso, recurrent core fed with the previous action and reward, and heads.

A network is used in two ways that must agree: one step of N environments (`step`), and whole sequences from a
given core state (`encode`, then `unroll`, then the heads). Encoding is apart from unrolling so that frames are
encoded once, whatever the burn-in lengths of a batch are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from r2d2.agent.cores import Stepping, core_of
from r2d2.agent.frozen import FrozenEncoder, frozen_size
from r2d2.agent.heads.distributional import C51, HLGauss, Quantiles
from r2d2.agent.inputs import InputLayout, Inputs
from r2d2.agent.normalization import Normalization, without_bounds
from r2d2.agent.precision import full_precision
from r2d2.agent.stages import stage
from r2d2.agent.torsos import torso_of
from r2d2.agent.torsos.joined import Joined
from r2d2.config.network import NetworkConfig
from r2d2.config.parts import HEADS, make
from r2d2.types import ObservationSpec


class Trunk(nn.Module):
    """Torso and core: outputs [T, B, W] of observations, previous actions and rewards, and a core state.

    `inputs` says how stored columns become inputs. The core state travels as one flat float tensor [B, C],
    C = `core_size`. With several observation columns each has a torso of its own. `normalization` is applied
    before the torso.

    Where `inputs` have frozen features, the core sees these, and the torso's features join its outputs.
    """

    def __init__(
        self,
        inputs: InputLayout,
        actions: int,
        config: NetworkConfig,
        normalization: Normalization | None = None,
    ) -> None:
        super().__init__()
        self.inputs, self.actions = inputs, actions
        self.previous_inputs = config.previous_inputs
        self._codes: Tensor
        self.register_buffer("_codes", torch.arange(1, actions + 1), persistent=False)
        self.normalization = normalization
        seen = without_bounds(inputs.observations) if config.normalize else inputs.observations
        torsos = {name: torso_of(spec, config) for name, spec in seen.items()}
        self.torso = Joined(torsos) if len(torsos) > 1 else next(iter(torsos.values()))
        features = int(self.torso.features)  # type: ignore[arg-type]
        width = inputs.frozen or features
        if config.previous_inputs:
            width += (inputs.action_size + 1 if inputs.action_size else actions) + 1
        self.core = core_of(width, config)
        self.core_size: int = self.core.state_size
        self._steps = isinstance(self.core, Stepping)
        self.core_inputs = width
        self.width: int = self.core.width + (features if inputs.frozen else 0)

    def encode(self, inputs: Inputs) -> Tensor:
        """Inputs of `unroll` [T, B, F]; each step on its own, no state."""
        with stage("encode"):
            flat = {name: value.flatten(0, 1) for name, value in inputs.observation.items()}
            flat = flat if self.normalization is None else self.normalization(flat)
            features = self.torso(flat) if isinstance(self.torso, Joined) else self.torso(*flat.values())
            features = features.unflatten(0, inputs.previous_action.shape[:2])
            if inputs.frozen is None:
                return self._with_previous(features, inputs)
            return torch.cat([self._with_previous(inputs.frozen.float(), inputs), features], -1)

    def encode_for_state(self, inputs: Inputs) -> Tensor:
        """Inputs of `unroll` where the outputs do not matter: those of the core alone, without the torso's features
        if it does not need them."""
        if inputs.frozen is None:
            return self.encode(inputs)
        with stage("encode"):
            return self._with_previous(inputs.frozen.float(), inputs)

    def _with_previous(self, features: Tensor, inputs: Inputs) -> Tensor:
        """Features [T, B, ...] with the previous actions and rewards, if the core sees these."""
        if not self.previous_inputs:
            return features
        action = inputs.previous_action
        if not self.inputs.action_size:
            # Not nn.functional.one_hot: it reads the numbers, which waits for the device.
            action = action.unsqueeze(-1) == self._codes
        reward = inputs.previous_reward.to(features).unsqueeze(-1)
        return torch.cat([features, action.to(features), reward], -1)

    def unroll(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs [T, B, W] for the heads and the core state [B, C] after the last of the inputs [T, B, F], which
        `encode` or `encode_for_state` made."""
        # bfloat16 recurrence needs hardware that not every CPU has, and gains little: the core stays float32.
        with stage("core"), full_precision(inputs.device):
            seen = inputs[..., : self.core_inputs].float()
            outputs, state = self.core.unroll(seen, state.to(inputs.device))
        return self._with_features(outputs, inputs), state

    def advance(self, encoded: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs [N, W] and the next state [N, C] for the inputs [1, N, F] of one step."""
        if not self._steps:
            outputs, state = self.unroll(encoded, state)
            return outputs[0], state
        with stage("core"), full_precision(encoded.device):
            seen = encoded[0, :, : self.core_inputs].float()
            outputs, state = self.core.step(seen, state.to(encoded.device))
        return self._with_features(outputs, encoded[0]), state

    def _with_features(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        """The core's outputs, and the learned features that came beside the core's inputs."""
        if inputs.shape[-1] == self.core_inputs:
            return outputs
        return torch.cat([outputs, inputs[..., self.core_inputs :].float()], -1)

    def flatten_core(self) -> None:
        """Lay recurrent weights out as cuDNN wants them; a copy of a network has lost that. Nothing on a CPU."""
        for module in self.core.modules():
            if isinstance(module, nn.RNNBase):
                module.flatten_parameters()


class QNetwork(Trunk):
    """Q values [..., A] of counted actions. With `network.normalize` the learner keeps the statistics in
    `normalization`. `rescaling` is the learner's, see `LearnerConfig`; distributional heads depend on it."""

    def __init__(
        self,
        observations: Mapping[str, ObservationSpec],
        actions: int,
        config: NetworkConfig,
        *,
        rescaling: bool = True,
    ) -> None:
        normalization = Normalization(observations, config.stack) if config.normalize else None
        inputs = InputLayout(observations, config.stack, frozen=frozen_size(len(observations), config))
        super().__init__(inputs, actions, config, normalization)
        settings = {"inputs": self.width, "actions": actions, "config": config, "rescaling": rescaling}
        self.head = make(HEADS, config.head, settings)
        self.frozen = FrozenEncoder(observations, config) if inputs.frozen else None

    def values(self, outputs: Tensor) -> Tensor:
        """Q values, float32 [..., A], of core outputs [..., W]."""
        with stage("heads"):
            return self.head(outputs).float()

    def values_and_logits(self, outputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Q values, and of a distributional head the logits or quantiles [..., A, K] whose mean they are."""
        if not isinstance(self.head, C51 | HLGauss | Quantiles):
            return self.values(outputs), None
        with stage("heads"):
            logits = self.head.logits(outputs)
            return self.head.expected(logits), logits

    def answer(self, outputs: Tensor, exploration: Tensor | None = None) -> Tensor:
        """What `EpsilonGreedy` chooses from: the Q values. It explores by itself."""
        return self.values(outputs)

    def step(self, inputs: Inputs, state: Tensor, exploration: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One step of N environments: Q values [N, A] and the next core state [N, C]; inputs [1, N, ...]."""
        outputs, state = self.advance(self.encode(inputs), state)
        return self.answer(outputs), state

    def groups(self) -> list[list[nn.Parameter]]:
        """Parameters that are trained and clipped together: all but those of a frozen encoder."""
        return [[parameter for parameter in self.parameters() if parameter.requires_grad]]


def core_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Those of all recurrent cores in it."""
    trunks = [module for module in network.modules() if isinstance(module, Trunk)]
    return [parameter for trunk in trunks for parameter in trunk.core.parameters()]


def parameter_hash(network: nn.Module) -> str:
    """A short hash of all parameters: equal runs have equal hashes, bit for bit."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
