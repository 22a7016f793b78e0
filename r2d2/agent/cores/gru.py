"""GRU: half the state of an LSTM."""

from __future__ import annotations

from torch import Tensor, nn

from r2d2.config.network import NetworkConfig


class GRU(nn.GRU):
    """One layer of `core_width` units; the state is h."""

    def __init__(self, inputs: int, config: NetworkConfig) -> None:
        super().__init__(inputs, config.core_width)
        self.width = self.state_size = config.core_width

    @staticmethod
    def state_size_of(config: NetworkConfig) -> int:
        return config.core_width

    def unroll(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        outputs, h = self(inputs, state.contiguous().unsqueeze(0))
        return outputs, h.squeeze(0)
