"""MLP: the torso for vectors."""

from __future__ import annotations

import math

from torch import Tensor, nn

from r2d2.agent.torsos.drop_achieved_goal import DropAchievedGoal
from r2d2.agent.torsos.scaling import unit_interval
from r2d2.config.network import NetworkConfig
from r2d2.types import ObservationSpec


class MLP(nn.Sequential):
    """Two hidden layers of `features` units, or none if that is 0; frames are flattened."""

    def __init__(self, observation: ObservationSpec, config: NetworkConfig) -> None:
        units, hidden = config.features, observation.hidden
        inputs = math.prod(observation.input_shape(config.stack)) - hidden * config.stack
        dropped = [DropAchievedGoal(config.stack, hidden)] if hidden else []
        layers = [nn.Linear(inputs, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU()] if units else []
        super().__init__(*dropped, *layers)
        self.features = units or inputs

    def forward(self, observation: Tensor) -> Tensor:
        """Features [K, features] of observations [K, ...]."""
        return super().forward(unit_interval(observation).flatten(1))
