"""Convolutional: torsos for frames."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from r2d2.agent.torsos.scaling import scaled_frames
from r2d2.config.network import NetworkConfig
from r2d2.types import ObservationSpec

Layers = tuple[tuple[int, int, int], ...]  # (filters, kernel, stride) of each convolution

# DQN's three convolutions (Mnih et al. 2015).
NATURE: Layers = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
# For 42 x 42 frames on a CPU (ours): a sixth of the operations.
SMALL: Layers = ((16, 5, 3), (32, 3, 2), (32, 3, 1))

# Frames that a CPU encodes at once (ours): the outputs of the convolutions stay in its cache, and no layer asks the
# system for fresh memory, which costs more than the layer does. A GPU takes all at once.
CHUNK = 128


class Convolutional(nn.Sequential):
    """Convolutions, then the fully connected layer with ReLU that R2D2's authors put before the LSTM, unless it has
    0 units: then the features are the outputs of the last convolution, as in DQN."""

    def __init__(self, observation: ObservationSpec, config: NetworkConfig, layers: Layers) -> None:
        modules: list[nn.Module] = []
        channels, *size = observation.input_shape(config.stack)
        for filters, kernel, stride in layers:
            modules += [nn.Conv2d(channels, filters, kernel, stride), nn.ReLU(inplace=True)]
            channels = filters
            size = [(side - kernel) // stride + 1 for side in size]
        if min(size) < 1:
            raise ValueError(
                f"frames of {' x '.join(map(str, observation.shape[:2]))} are too small for torso {layers}: choose "
                "network.torso grid"
            )
        flat = channels * size[0] * size[1]
        connected = [nn.Linear(flat, config.features), nn.ReLU(inplace=True)] if config.features else []
        super().__init__(*modules, nn.Flatten(), *connected)
        self.features = config.features or flat
        self.observation = observation
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, frames: Tensor) -> Tensor:
        """Features [K, features] of frames [K, C, H, W], of any dtype."""
        return encode_in_chunks(super().forward, frames, self.observation)


def encode_in_chunks(
    layers: Callable[[Tensor], Tensor], frames: Tensor, observation: ObservationSpec
) -> Tensor:
    """What layers make of scaled frames, on a CPU of `CHUNK` at once."""
    chunk = CHUNK if frames.device.type == "cpu" else max(len(frames), 1)
    parts = [layers(scaled_frames(part, observation)) for part in frames.split(chunk)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def nature(observation: ObservationSpec, config: NetworkConfig) -> Convolutional:
    """DQN's convolutions."""
    return Convolutional(observation, config, NATURE)


def small(observation: ObservationSpec, config: NetworkConfig) -> Convolutional:
    """Convolutions for small frames on a CPU."""
    return Convolutional(observation, config, SMALL)
