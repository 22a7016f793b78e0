"""FFM: fast and forgetful memory (Morad et al. 2023), the best core of the POPGym benchmark."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from r2d2.agent.cores.lru import as_complex, as_real
from r2d2.agent.cores.scan import linear_scan
from r2d2.config.network import NetworkConfig

CONTEXTS = 4  # frequencies of each trace: the paper's c for POPGym
FASTEST, SLOWEST = 0.5, 1e-6  # decay rates a step at the start
LONGEST = 1024  # steps of the longest period at the start: longer than most episodes


class FFM(nn.Module):
    """`core_width` gated traces, each at `CONTEXTS` frequencies: S[t] = exp(-|alpha| + i omega) S[t - 1] + x~[t].

    x~ = V x * sigmoid(W x); the output is a gated mixture of a normalized linear read-out of S and of the input
    (their equations 3 to 8). The state is S, 2 * CONTEXTS floats a unit. Ours: |alpha| for their upper bound.
    """

    def __init__(self, inputs: int, config: NetworkConfig) -> None:
        super().__init__()
        self.width, self.state_size = config.core_width, self.state_size_of(config)
        self.alpha = nn.Parameter(torch.linspace(SLOWEST, FASTEST, self.width).unsqueeze(1))
        self.omega = nn.Parameter(2.0 * math.pi / torch.linspace(1, LONGEST, CONTEXTS).unsqueeze(0))
        self.value, self.gate = nn.Linear(inputs, self.width), nn.Linear(inputs, self.width)
        self.read = nn.Linear(self.state_size, self.width)
        self.norm = nn.LayerNorm(self.width, elementwise_affine=False)
        self.show, self.direct = nn.Linear(inputs, self.width), nn.Linear(inputs, self.width)

    @staticmethod
    def state_size_of(config: NetworkConfig) -> int:
        return 2 * CONTEXTS * config.core_width

    def unroll(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        decay = torch.polar((-self.alpha.abs()).exp().expand(-1, CONTEXTS), self.omega.expand(self.width, -1))
        traced = (self.value(inputs) * self.gate(inputs).sigmoid()).repeat_interleave(CONTEXTS, -1)
        driven = torch.complex(traced, torch.zeros_like(traced))
        s = as_real(linear_scan(decay.flatten(), driven, as_complex(state)))
        shown = self.show(inputs).sigmoid()
        return torch.lerp(self.direct(inputs), self.norm(self.read(s)), shown), s[-1]
