"""Precision: what is computed in bfloat16, and what stays float32 regardless."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, cast

import torch
from torch import Tensor, nn

Precision = Literal["float32", "bfloat16", "auto"]


def dtype_of(precision: Precision, device: torch.device) -> torch.dtype:
    """The dtype of a precision on a device: `auto` is bfloat16 where the device supports it."""
    bfloat16 = has_bfloat16(device) if precision == "auto" else precision == "bfloat16"
    return torch.bfloat16 if bfloat16 else torch.float32


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device supports bfloat16 natively; otherwise it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """torch's autocast to that dtype; nothing for float32."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def full_precision(device: torch.device) -> AbstractContextManager[None]:
    """Within it nothing is cast. Entering torch's autocast costs microseconds, so only where it is on."""
    if torch.is_autocast_enabled(device.type):
        return cast("AbstractContextManager[None]", torch.autocast(device.type, enabled=False))
    return nullcontext()


class Output(nn.Linear):
    """A linear layer that stays float32 under autocast: bfloat16 would round Q values to three digits."""

    def forward(self, x: Tensor) -> Tensor:
        with full_precision(x.device):
            return super().forward(x.to(self.weight.dtype))
