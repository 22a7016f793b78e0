"""LSTM: the core of the R2D2 paper."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from r2d2.config.network import NetworkConfig


class LSTM(nn.LSTM):
    """One layer of `core_width` units; the state is (h, c).

    `forget_bias` is added to the bias of the forget gate at the start: above 1, long memories are learned sooner.
    """

    def __init__(self, inputs: int, config: NetworkConfig) -> None:
        super().__init__(inputs, config.core_width)
        self.width, self.state_size = config.core_width, self.state_size_of(config)
        forget = slice(self.width, 2 * self.width)  # gates are stacked (input, forget, cell, output)
        with torch.no_grad():
            self.get_parameter("bias_hh_l0")[forget] += config.forget_bias

    @staticmethod
    def state_size_of(config: NetworkConfig) -> int:
        return 2 * config.core_width

    def unroll(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        h, c = (part.contiguous().unsqueeze(0) for part in state.chunk(2, -1))
        outputs, (h, c) = self(inputs, (h, c))
        return outputs, torch.cat([h, c], -1).squeeze(0)
