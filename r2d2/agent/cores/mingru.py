"""MinGRU: the minimal GRU of Feng et al. (2024), whose gate depends only on the input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from r2d2.agent.cores.scan import linear_scan
from r2d2.config.network import NetworkConfig


class MinGRU(nn.Module):
    """h[t] = (1 - z[t]) h[t - 1] + z[t] v[t] with z = sigmoid(W x) and v = V x (their section 3.1), W units.

    A unit that holds shows little of the present, so the output is h + D x: the direct path D is ours, as in
    LRU. `forget_bias` initializes the gate: a fresh unit forgets within about exp(forget_bias) steps.
    The state is h.
    """

    def __init__(self, inputs: int, config: NetworkConfig) -> None:
        super().__init__()
        self.width = self.state_size = config.core_width
        self.gate = nn.Linear(inputs, self.width)
        self.value = nn.Linear(inputs, self.width)
        self.direct = nn.Linear(inputs, self.width, bias=False)
        with torch.no_grad():
            self.gate.bias.sub_(config.forget_bias)

    @staticmethod
    def state_size_of(config: NetworkConfig) -> int:
        return config.core_width

    def unroll(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        gate = self.gate(inputs)
        h = linear_scan(torch.sigmoid(-gate), torch.sigmoid(gate) * self.value(inputs), state)
        return h + self.direct(inputs), h[-1]
