"""Scaling: numbers with known bounds as floats in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from r2d2.types import ObservationSpec


def scaled_frames(frames: Tensor, observation: ObservationSpec) -> Tensor:
    """Frames and grids of any dtype as floats from 0 at the column's lowest value to 1 at its highest, in the
    memory format they have.

    >>> scaled_frames(torch.tensor([51, 255], dtype=torch.uint8), ObservationSpec((1, 2), "uint8", "frames"))
    tensor([0.2000, 1.0000])
    """
    unscaled = (0.0, 255.0) if frames.dtype == torch.uint8 else (0.0, 1.0)
    low, high = (*observation.low, *observation.high) or unscaled
    own = frames.dtype != torch.float32  # then what follows has memory of its own and may write into it
    frames = frames.float()
    if low:
        frames, own = (frames.sub_(low) if own else frames - low), True
    if high - low == 1.0:
        return frames
    return frames.mul_(1.0 / (high - low)) if own else frames * (1.0 / (high - low))


class Scaling(nn.Module):
    """Each of `stack` vectors [..., stack * D] scaled to [0, 1], as far as its numbers have bounds."""

    def __init__(self, observation: ObservationSpec, stack: int) -> None:
        super().__init__()
        low, high = torch.tensor(observation.low), torch.tensor(observation.high)
        bounded = torch.isfinite(low) & torch.isfinite(high)
        self.low: Tensor
        self.scale: Tensor
        low = torch.where(bounded, low, 0.0)
        self.register_buffer("low", low.repeat(stack), persistent=False)
        self.register_buffer(
            "scale", (1.0 / torch.where(bounded, high - low, 1.0)).repeat(stack), persistent=False
        )

    def forward(self, vector: Tensor) -> Tensor:
        return (vector - self.low) * self.scale
