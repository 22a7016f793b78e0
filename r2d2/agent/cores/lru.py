"""LRU: the linear recurrent unit of Orvieto et al. (2023), a diagonal complex recurrence."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from r2d2.agent.cores.scan import linear_scan
from r2d2.config.network import NetworkConfig

# Steps within which units fade at the start, spread evenly on a logarithmic scale (ours): the present and what was
# long ago are both to be had. The paper draws |lambda| from a ring that it chooses for each task.
FASTEST, SLOWEST = 2.0, 1000.0


class LRU(nn.Module):
    """x[t] = lambda x[t - 1] + gamma B u[t], y[t] = norm(Re(C x[t]) + D u[t]), `core_width` complex x and real y.

    lambda = exp(-exp(nu) + i exp(theta)) is stable whatever is learned (section 3.3). The start is ours,
    measured in docs/memory.md: every other unit turns by up to half a circle a step, which tells when
    something was seen; the others hardly turn, which keeps it readable at any time. The paper's gamma =
    sqrt(1 - |lambda|^2) would hide a single event from slow units; gamma begins at its square root.
    The norm (a layer norm without parameters) is ours too: in an episode longer than those before it, slow units
    grow beyond all that the head has seen, and a policy that is stuck in one does not get out of it again.
    The state is x, real and imaginary parts in turn.
    """

    def __init__(self, inputs: int, config: NetworkConfig) -> None:
        super().__init__()
        self.width, self.state_size = config.core_width, self.state_size_of(config)
        rate = 1.0 / (FASTEST * (SLOWEST / FASTEST) ** torch.rand(self.width))  # -log |lambda|
        turn = math.pi * torch.rand(self.width)
        turn[::2] /= SLOWEST
        self.nu, self.theta = nn.Parameter(rate.log()), nn.Parameter(turn.log())
        self.gamma = nn.Parameter(0.25 * (-torch.expm1(-2.0 * rate)).log())
        self.b = nn.Linear(inputs, 2 * self.width, bias=False)
        self.c = nn.Linear(2 * self.width, self.width)
        self.d = nn.Linear(inputs, self.width, bias=False)
        with torch.no_grad():  # as in the paper's appendix A
            self.b.weight.normal_(std=1.0 / math.sqrt(2 * inputs))
            self.c.weight.normal_(std=1.0 / math.sqrt(self.width))

    @staticmethod
    def state_size_of(config: NetworkConfig) -> int:
        return 2 * config.core_width

    def unroll(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        decay = torch.polar((-self.nu.exp()).exp(), self.theta.exp())
        driven = as_complex(self.b(inputs)) * self.gamma.exp()
        x = as_real(linear_scan(decay, driven, as_complex(state)))
        return nn.functional.layer_norm(self.c(x) + self.d(inputs), (self.width,)), x[-1]


def as_complex(pairs: Tensor) -> Tensor:
    """Complex numbers [..., N] from real and imaginary parts in turn, [..., 2 N]."""
    return torch.view_as_complex(pairs.unflatten(-1, (-1, 2)).contiguous())


def as_real(numbers: Tensor) -> Tensor:
    """The inverse of `as_complex`."""
    return torch.view_as_real(numbers).flatten(-2)
