"""Impala: the residual network for frames and grids."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from r2d2.agent.torsos.convolutional import encode_in_chunks
from r2d2.agent.torsos.spectral import SpectralConv2d
from r2d2.config.network import NetworkConfig
from r2d2.types import ObservationSpec

FILTERS = (16, 32, 32)  # of the three stages, times `network.torso_width` (Espeholt et al. 2018, figure 3)


class Impala(nn.Sequential):
    """Three stages of a convolution, max pooling with stride 2 and two residual blocks (Espeholt et al. 2018, the
    large architecture), then the fully connected layer, unless it has 0 units.

    With `network.torso_pool` the outputs of the stages are pooled to so many rows and columns at most, and with
    `network.spectral_norm` the convolutions of the residual blocks have a spectral norm of 1: both as in BTR (Clark
    et al. 2024), which has a width of 2 and pools to 6 x 6. `network.torso_norm` puts a LayerNorm (ours) before the
    ReLU of the fully connected layer, or behind the convolutions where there is none.

    Borders are padded, so every frame is large enough.
    """

    def __init__(self, observation: ObservationSpec, config: NetworkConfig) -> None:
        modules: list[nn.Module] = []
        channels, *size = observation.input_shape(config.stack)
        for filters in FILTERS:
            filters *= config.torso_width
            modules += [nn.Conv2d(channels, filters, 3, padding=1), nn.MaxPool2d(3, 2, padding=1)]
            modules += [Residual(filters, spectral=config.spectral_norm) for _ in range(2)]
            channels, size = filters, [(side + 1) // 2 for side in size]
        modules.append(nn.ReLU(inplace=True))
        if config.torso_pool:
            size = [min(side, config.torso_pool) for side in size]
            modules.append(nn.AdaptiveMaxPool2d(tuple(size)))
        flat = channels * size[0] * size[1]
        features = config.features or flat
        norm = [nn.LayerNorm(features)] if config.torso_norm else []
        connected = [nn.Linear(flat, config.features), *norm, nn.ReLU()] if config.features else norm
        super().__init__(*modules, nn.Flatten(), *connected)
        self.features = features
        self.observation = observation
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, frames: Tensor) -> Tensor:
        """Features [K, features] of frames or grids [K, C, H, W], of any dtype."""
        return encode_in_chunks(super().forward, frames, self.observation)


class Residual(nn.Module):
    """x + conv(relu(conv(relu(x)))), with kernels of 3 x 3."""

    def __init__(self, filters: int, *, spectral: bool) -> None:
        super().__init__()
        layer = SpectralConv2d if spectral else nn.Conv2d
        self.first, self.second = (layer(filters, filters, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.second(self.first(x.relu()).relu_())
        return x + added
