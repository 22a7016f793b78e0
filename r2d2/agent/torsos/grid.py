"""Grid: the torso for small grids, of which no cell may be skipped."""

from __future__ import annotations

from torch import Tensor, nn

from r2d2.agent.torsos.scaling import scaled_frames
from r2d2.config.network import NetworkConfig
from r2d2.types import ObservationSpec

FILTERS = (32, 32)  # of two convolutions (ours); MinAtar's networks have one of 16 (Young & Tian 2019)


class Grid(nn.Sequential):
    """Convolutions of 3 x 3 cells without stride, over a border of zeros, then a fully connected layer, unless it
    has 0 units."""

    def __init__(self, observation: ObservationSpec, config: NetworkConfig) -> None:
        modules: list[nn.Module] = []
        channels, height, width = observation.input_shape(config.stack)
        for filters in FILTERS:
            modules += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(inplace=True)]
            channels = filters
        flat = channels * height * width
        connected = [nn.Linear(flat, config.features), nn.ReLU(inplace=True)] if config.features else []
        super().__init__(*modules, nn.Flatten(), *connected)
        self.features = config.features or flat
        self.observation = observation

    def forward(self, grids: Tensor) -> Tensor:
        """Features [K, features] of grids [K, C, H, W], of any dtype."""
        return super().forward(scaled_frames(grids, self.observation).contiguous())
