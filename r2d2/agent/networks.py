"""The Q network: torso, recurrent core fed with the previous action and reward, dueling heads.

A network is used in two ways that must agree: one step of N environments (`step`), and whole sequences
from a given core state (`encode`, then `unroll`, then `values`). Encoding is apart from unrolling so that
frames are encoded once, whatever the burn-in lengths of a batch are.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.autograd.profiler import record_function

TorsoName = Literal["nature", "small"]
CoreName = Literal["lstm", "gru", "none"]


Layers = tuple[tuple[int, int, int], ...]  # (filters, kernel, stride) of each convolution

# DQN's three convolutions (Mnih et al. 2015).
NATURE: Layers = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
# For 42 x 42 frames on a CPU (ours): a sixth of the operations.
SMALL: Layers = ((16, 5, 3), (32, 3, 2), (32, 3, 1))


# Frames that a CPU encodes at once (ours): what convolutions hand on stays in its cache, and no layer asks
# the system for fresh memory, which costs more than the layer does. A GPU takes all at once.
CHUNK = 128


def stack_frames(observation: Tensor, stack: int, *, pixels: bool) -> Tensor:
    """Network inputs, time-major [T, B, ...], from stored rows [B, stack - 1 + T, ...].

    Gray frames [H, W] and color frames [H, W, C] give [stack * C, H, W], newest last, in channels-last memory
    and still as bytes: a quarter of the memory, and the network scales them. Anything else of D numbers gives
    floats [stack * D].
    """
    with record_function("stack"):
        steps = observation.shape[1] - stack + 1
        if pixels and observation.ndim == 4:
            observation = observation.unsqueeze(-1)
        observation = observation.transpose(0, 1)
        observation = torch.cat([observation[k : k + steps] for k in range(stack)], -1)
        return observation.movedim(-1, -3) if pixels else observation.float().flatten(2)


def convolutional_torso(layers: Layers, shape: tuple[int, ...], features: int) -> nn.Sequential:
    """Convolutions, then the FC + ReLU that R2D2's authors put before the LSTM; `shape` is (C, H, W)."""
    modules: list[nn.Module] = []
    channels, *size = shape
    for filters, kernel, stride in layers:
        modules += [nn.Conv2d(channels, filters, kernel, stride), nn.ReLU(inplace=True)]
        channels = filters
        size = [(side - kernel) // stride + 1 for side in size]
    if min(size) < 1:
        raise ValueError(
            f"frames of {shape[1]} x {shape[2]} are too small for torso {layers}: use larger frames"
        )
    flat = channels * size[0] * size[1]
    torso = nn.Sequential(*modules, nn.Flatten(), nn.Linear(flat, features), nn.ReLU(inplace=True))
    return torso.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def mlp_torso(inputs: int, features: int) -> nn.Sequential:
    """Two hidden layers for vector observations."""
    return nn.Sequential(nn.Linear(inputs, features), nn.ReLU(), nn.Linear(features, features), nn.ReLU())


class Output(nn.Linear):
    """A last layer: float32 under autocast as well, since bfloat16 would round Q to three digits."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.to(self.weight.dtype))


class Dueling(nn.Module):
    """Q = V + A - mean A (Wang et al. 2016), each with one hidden layer; in R2D2 after the LSTM."""

    def __init__(self, inputs: int, hidden: int, actions: int) -> None:
        super().__init__()
        self.value = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), Output(hidden, 1))
        self.advantage = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), Output(hidden, actions))

    def forward(self, x: Tensor) -> Tensor:
        advantage = self.advantage(x)
        return self.value(x) + advantage - advantage.mean(-1, keepdim=True)


class QNetwork(nn.Module):
    """Q values [.., A] from stacked observations, previous actions and rewards, and a core state.

    `observation_shape` is what `stack_frames` makes of one step: (C, H, W) is seen by convolutions, as bytes or
    as floats in [0, 1], anything else by an MLP. Previous actions are stored as action + 1, 0 where there was
    none. The core state travels as one flat float tensor [B, C], C = `core_size`: (h, c) of an LSTM, h of a
    GRU, nothing without a core. `forget_bias` is added to the LSTM's forget gate at the start: above 1, long
    memories are learnable in minutes.
    """

    def __init__(
        self,
        observation_shape: tuple[int, ...],
        actions: int,
        *,
        torso: TorsoName = "nature",
        features: int = 512,
        core: CoreName = "lstm",
        core_width: int = 512,
        hidden: int = 512,
        previous_inputs: bool = True,
        dueling: bool = True,
        forget_bias: float = 0.0,
    ) -> None:
        super().__init__()
        self.actions = actions
        self.previous_inputs = previous_inputs
        self._codes: Tensor
        self.register_buffer("_codes", torch.arange(1, actions + 1), persistent=False)
        if len(observation_shape) == 3:
            layers = NATURE if torso == "nature" else SMALL
            self.torso = convolutional_torso(layers, observation_shape, features)
        else:
            self.torso = mlp_torso(math.prod(observation_shape), features)
        inputs = features + (actions + 1 if previous_inputs else 0)
        self.core: nn.LSTM | nn.GRU | None = None
        self.core_size = {"lstm": 2 * core_width, "gru": core_width, "none": 0}[core]
        if core == "lstm":
            self.core = nn.LSTM(inputs, core_width)
            with torch.no_grad():  # gates are stacked (input, forget, cell, output)
                self.core.get_parameter("bias_hh_l0")[core_width : 2 * core_width] += forget_bias
        elif core == "gru":
            self.core = nn.GRU(inputs, core_width)
        width = inputs if core == "none" else core_width
        self.head = Dueling(width, hidden, actions) if dueling else plain_head(width, hidden, actions)

    def encode(self, observation: Tensor, previous_action: Tensor, previous_reward: Tensor) -> Tensor:
        """Core inputs [T, B, F] of stacked observations [T, B, ...]; each step on its own, no state."""
        with record_function("encode"):
            features = self._features(observation.flatten(0, 1)).unflatten(0, observation.shape[:2])
            if not self.previous_inputs:
                return features
            # Not nn.functional.one_hot: it looks at the numbers, for which a device has to be waited for.
            one_hot = previous_action.unsqueeze(-1) == self._codes
            return torch.cat([features, one_hot.to(features), previous_reward.to(features).unsqueeze(-1)], -1)

    def _features(self, observation: Tensor) -> Tensor:
        """The torso's [K, features] of observations [K, ...]."""
        if observation.ndim != 4:
            return self.torso(observation)
        chunk = CHUNK if observation.device.type == "cpu" else max(len(observation), 1)
        parts = [self.torso(unit_interval(frames)) for frames in observation.split(chunk)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def flatten_core(self) -> None:
        """Lay the core's weights out as cuDNN wants them; a copy of a network has lost that. Nothing on a CPU."""
        if self.core is not None:
            self.core.flatten_parameters()

    def unroll(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Core outputs [T, B, W] and the state [B, C] after the last of the inputs [T, B, F]."""
        if self.core is None:
            return inputs, state
        with record_function("core"):
            return self._recur(inputs, state.to(inputs.device))

    def _recur(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        # bfloat16 recurrence needs hardware that not every CPU has, and gains little: the core stays float32.
        with torch.autocast(inputs.device.type, enabled=False):
            inputs = inputs.float()
            assert self.core is not None
            if isinstance(self.core, nn.LSTM):
                h, c = (part.contiguous().unsqueeze(0) for part in state.chunk(2, -1))
                out, (h, c) = self.core(inputs, (h, c))
                return out, torch.cat([h, c], -1).squeeze(0)
            out, h = self.core(inputs, state.contiguous().unsqueeze(0))
            return out, h.squeeze(0)

    def values(self, outputs: Tensor) -> Tensor:
        """Q values, float32 [.., A], of core outputs [.., W]."""
        with record_function("heads"):
            return self.head(outputs).float()

    def step(
        self, observation: Tensor, previous_action: Tensor, previous_reward: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One step of N environments: Q values [N, A] and the next core state [N, C]; inputs [1, N, ...]."""
        inputs = self.encode(observation, previous_action, previous_reward)
        outputs, state = self.unroll(inputs, state)
        return self.values(outputs)[0], state


def unit_interval(frames: Tensor) -> Tensor:
    """Bytes as floats in [0, 1], in the memory format they have; floats as they are."""
    return frames.float().mul_(1.0 / 255.0) if frames.dtype == torch.uint8 else frames


def plain_head(inputs: int, hidden: int, actions: int) -> nn.Sequential:
    """DQN's head: one hidden layer, no dueling."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), Output(hidden, actions))
