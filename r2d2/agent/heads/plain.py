"""Plain: the head of DQN."""

from __future__ import annotations

from torch import nn

from r2d2.agent.precision import Output
from r2d2.config.network import NetworkConfig


class Plain(nn.Sequential):
    """One hidden layer, then one output for each action (Mnih et al. 2015)."""

    def __init__(self, inputs: int, actions: int, config: NetworkConfig) -> None:
        super().__init__(nn.Linear(inputs, config.hidden), nn.ReLU(), Output(config.hidden, actions))
