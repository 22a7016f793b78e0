"""MLP: the torso for vectors."""

from __future__ import annotations

import math

from torch import Tensor, nn

from r2d2.agent.torsos.drop_achieved_goal import DropAchievedGoal
from r2d2.agent.torsos.scaling import Scaling, scaled_frames
from r2d2.config.network import NetworkConfig
from r2d2.types import ObservationSpec


class MLP(nn.Sequential):
    """Two hidden layers of `features` units, or none if that is 0. Frames are scaled and flattened, vectors scaled
    if they have bounds."""

    def __init__(self, observation: ObservationSpec, config: NetworkConfig) -> None:
        units, hidden = config.features, observation.hidden
        inputs = math.prod(observation.input_shape(config.stack)) - hidden * config.stack
        frames = observation.kind != "vector"
        first: list[nn.Module] = []
        if observation.low and not frames:
            first.append(Scaling(observation, config.stack))
        if hidden:
            first.append(DropAchievedGoal(config.stack, hidden))
        layers = [nn.Linear(inputs, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU()] if units else []
        super().__init__(*first, *layers)
        self.features = units or inputs
        self.frames = observation if frames else None

    def forward(self, observation: Tensor) -> Tensor:
        """Features [K, features] of observations [K, ...]."""
        if self.frames is not None:
            observation = scaled_frames(observation, self.frames)
        return super().forward(observation.flatten(1))
