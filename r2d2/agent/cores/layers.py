"""Layers: cores on top of each other, with residuals and norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Layers(nn.Module):
    """x1 = core1(inputs), then x = x + core(norm(x)) for each further one (pre-norm, Xiong et al. 2020).

    All cores have states of one size; the state is theirs, one after the other.
    """

    def __init__(self, cores: Sequence[Any]) -> None:
        super().__init__()
        self.cores = nn.ModuleList(cores)
        self.width: int = cores[0].width
        self.state_size: int = sum(core.state_size for core in cores)
        self.norms = nn.ModuleList(nn.LayerNorm(self.width) for _ in cores[1:])

    def unroll(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        first, *others = self.cores
        before, *rest = state.chunk(len(self.cores), -1)
        x, after = first.unroll(inputs, before)  # type: ignore[operator]
        states = [after]
        for core, norm, part in zip(others, self.norms, rest, strict=True):
            added, after = core.unroll(norm(x), part)  # type: ignore[operator]
            x = x + added
            states.append(after)
        return x, torch.cat(states, -1)
