"""NoCore: a feed-forward network."""

from __future__ import annotations

from torch import Tensor, nn

from r2d2.config.network import NetworkConfig


class NoCore(nn.Module):
    """Hands its inputs on and remembers nothing: the state has no floats."""

    state_size = 0

    def __init__(self, inputs: int, config: NetworkConfig) -> None:
        super().__init__()
        self.width = inputs

    @staticmethod
    def state_size_of(config: NetworkConfig) -> int:
        return 0

    def unroll(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return inputs, state
