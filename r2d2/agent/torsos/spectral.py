"""SpectralConv2d: convolutions whose kernel has a spectral norm of 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

AT_THE_START = 15  # power iterations; as torch.nn.utils.parametrizations.spectral_norm has them


class SpectralConv2d(nn.Conv2d):
    """A convolution with its kernel, as a matrix [out, in * k * k], over its largest singular value.

    Miyato et al. (2018): the value is left^T W right, with singular vectors that follow W by power iteration. They
    iterate in every forward pass of the training, the learner here once after each optimizer step (`iterate`). So a
    forward pass changes nothing, and an actor with the learner's state computes the same.
    """

    left: Tensor
    right: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, padding: int) -> None:
        super().__init__(inputs, outputs, kernel, padding=padding)
        self.register_buffer("left", normalize(torch.randn(outputs), dim=0))
        self.register_buffer("right", normalize(torch.randn(inputs * kernel * kernel), dim=0))
        for _ in range(AT_THE_START):
            self.iterate(torch.tensor(True, device=self.left.device))

    @torch.no_grad()
    def iterate(self, taken: Tensor) -> None:
        """One power iteration, if the bool `taken` [] is true; the device is not waited for."""
        matrix = self.weight.flatten(1)
        right = normalize(matrix.T @ self.left, dim=0)
        left = normalize(matrix @ right, dim=0)
        self.right.copy_(torch.where(taken, right, self.right))
        self.left.copy_(torch.where(taken, left, self.left))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # a norm in bfloat16 would be off by 1 %
            weight = self.weight / (self.left @ (self.weight.flatten(1) @ self.right))
        return self._conv_forward(x, weight, self.bias)


def spectral_layers(network: nn.Module) -> list[SpectralConv2d]:
    """All the layers whose vectors have to follow the weights."""
    return [module for module in network.modules() if isinstance(module, SpectralConv2d)]
