"""Output: the last layer of a head."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Output(nn.Linear):
    """A linear layer that stays float32 under autocast: bfloat16 would round Q values to three digits."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.to(self.weight.dtype))
