"""Precision: whether torsos and heads compute in bfloat16."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["float32", "bfloat16", "auto"]


def dtype_of(precision: Precision, device: torch.device) -> torch.dtype:
    """What a precision means on a device: `auto` is bfloat16 where the device computes in it."""
    bfloat16 = has_bfloat16(device) if precision == "auto" else precision == "bfloat16"
    return torch.bfloat16 if bfloat16 else torch.float32


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 itself; elsewhere it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """torch's autocast to that dtype; nothing for float32."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
