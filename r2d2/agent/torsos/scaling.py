"""Scaling of inputs."""

from __future__ import annotations

import torch
from torch import Tensor


def unit_interval(frames: Tensor) -> Tensor:
    """Bytes as floats in [0, 1], in the memory format they have; floats as they are."""
    return frames.float().mul_(1.0 / 255.0) if frames.dtype == torch.uint8 else frames
