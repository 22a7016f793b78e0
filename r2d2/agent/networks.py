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
from torch.autograd.profiler import record_function

from r2d2.agent.cores import Stepping, core_of
from r2d2.agent.heads.distributional import C51, HLGauss
from r2d2.agent.inputs import InputLayout, Inputs
from r2d2.agent.normalization import Normalization, without_bounds
from r2d2.agent.precision import full_precision
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
        width = int(self.torso.features)  # type: ignore[arg-type]
        if config.previous_inputs:
            width += (inputs.action_size + 1 if inputs.action_size else actions) + 1
        self.core = core_of(width, config)
        self.core_size: int = self.core.state_size
        self._steps = isinstance(self.core, Stepping)

    def encode(self, inputs: Inputs) -> Tensor:
        """Core inputs [T, B, F]; each step on its own, no state."""
        with record_function("encode"):
            flat = {name: value.flatten(0, 1) for name, value in inputs.observation.items()}
            flat = flat if self.normalization is None else self.normalization(flat)
            features = self.torso(flat) if isinstance(self.torso, Joined) else self.torso(*flat.values())
            features = features.unflatten(0, inputs.previous_action.shape[:2])
            if not self.previous_inputs:
                return features
            action = inputs.previous_action
            if not self.inputs.action_size:
                # Not nn.functional.one_hot: it reads the numbers, which waits for the device.
                action = action.unsqueeze(-1) == self._codes
            reward = inputs.previous_reward.to(features).unsqueeze(-1)
            return torch.cat([features, action.to(features), reward], -1)

    def unroll(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Core outputs [T, B, W] and the state [B, C] after the last of the core inputs [T, B, F]."""
        # bfloat16 recurrence needs hardware that not every CPU has, and gains little: the core stays float32.
        with record_function("core"), full_precision(inputs.device):
            return self.core.unroll(inputs.float(), state.to(inputs.device))

    def advance(self, encoded: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Core outputs [N, W] and the next state [N, C] for the core inputs [1, N, F] of one step."""
        if not self._steps:
            outputs, state = self.unroll(encoded, state)
            return outputs[0], state
        with record_function("core"), full_precision(encoded.device):
            return self.core.step(encoded[0].float(), state.to(encoded.device))

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
        super().__init__(InputLayout(observations, config.stack), actions, config, normalization)
        settings = {"inputs": self.core.width, "actions": actions, "config": config, "rescaling": rescaling}
        self.head = make(HEADS, config.head, settings)

    def values(self, outputs: Tensor) -> Tensor:
        """Q values, float32 [..., A], of core outputs [..., W]."""
        with record_function("heads"):
            return self.head(outputs).float()

    def values_and_logits(self, outputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Q values, and of a distributional head the logits [..., A, K] whose mean they are."""
        if not isinstance(self.head, C51 | HLGauss):
            return self.values(outputs), None
        with record_function("heads"):
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
        """Parameters that are clipped together: all of them."""
        return [list(self.parameters())]


def parameter_hash(network: nn.Module) -> str:
    """A short hash of all parameters: equal runs have equal hashes, bit for bit."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
