"""Dueling: separate estimates of the state's value and of each action's advantage."""

from __future__ import annotations

from torch import Tensor, nn

from r2d2.agent.precision import Output
from r2d2.config.network import NetworkConfig


class Dueling(nn.Module):
    """Q = V + A - mean A (Wang et al. 2016), each with one hidden layer; in R2D2 after the LSTM."""

    def __init__(self, inputs: int, actions: int, config: NetworkConfig) -> None:
        super().__init__()
        hidden = config.hidden
        self.value = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), Output(hidden, 1))
        self.advantage = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), Output(hidden, actions))

    def forward(self, outputs: Tensor) -> Tensor:
        advantage = self.advantage(outputs)
        return self.value(outputs) + advantage - advantage.mean(-1, keepdim=True)
