"""Critic: the value of a vector action after core outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from r2d2.agent.heads.policy import two_layers
from r2d2.agent.precision import Output


class Critic(nn.Module):
    """Q(s, a) [...] of core outputs [..., W] and actions [..., A], which enter side by side."""

    def __init__(self, inputs: int, actions: int, hidden: int) -> None:
        super().__init__()
        self.hidden = two_layers(inputs + actions, hidden)
        self.value = Output(hidden, 1)

    def forward(self, outputs: Tensor, action: Tensor) -> Tensor:
        inputs = torch.cat([outputs, action.to(outputs)], -1)
        return self.value(self.hidden(inputs.flatten(0, -2))).view(inputs.shape[:-1]).float()
