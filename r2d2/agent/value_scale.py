"""The scale of values, so that a network learns large ones as fast as small ones (PopArt, van Hasselt et al. 2016).

PopArt lets a network's last layer learn (target - mu) / sigma with running mu and sigma, and changes the weights of
that layer whenever these change, so that what it says in true units stays as it was. Here, without the shift mu,
the weights are in true units, but for the step of the optimizer, which sees them in units of the scale. This is the
same (`tests/agent/test_value_scale.py`), and targets, actors, checkpoints and policies need not know the scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from r2d2.agent.precision import Output

RATE = 0.01  # share of the newest batch in the running mean square; ours


class ValueScale:
    """max(1, root mean square of values so far / `rms`), which is 1 where these are small.

    >>> scale = ValueScale(10.0)
    >>> scale.now(torch.device("cpu"))
    tensor(1.)
    >>> scale.add(torch.tensor(400.0), torch.tensor(True))
    >>> scale.now(torch.device("cpu"))
    tensor(2.)
    """

    def __init__(self, rms: float) -> None:
        self.rms = rms
        self.moments = torch.zeros(2)  # weight and mean square: they begin as zeros, which the weight undoes

    def now(self, device: torch.device) -> Tensor:
        """The scale [] for the next update."""
        self.moments = self.moments.to(device)
        weight, square = self.moments.unbind()
        mean_square = square / weight.clamp_min(torch.finfo(weight.dtype).tiny)
        return (mean_square.sqrt() / self.rms).clamp_min(1.0)

    def add(self, mean_square: Tensor, finite: Tensor) -> None:
        """Take in the values of an update, unless it does not count."""
        batch = torch.stack([torch.ones_like(mean_square), mean_square])
        newer = self.moments + RATE * (batch - self.moments)
        self.moments.copy_(torch.where(finite & torch.isfinite(mean_square), newer, self.moments))


def largest_squares(target: Tensor, reward: Tensor, end: Tensor, discount: float) -> Tensor:
    """The square of each target or of the discounted rewards [unroll, B] from its step to the end of the item,
    whichever is larger: how large values will be is known before they are learned.

    `target` is [unroll, B], `reward` [rows, B], and `end` [B] the row of the item's last observation.

    >>> largest_squares(torch.tensor([[3.0], [3.0]]), torch.tensor([[4.0], [2.0], [9.0]]), torch.tensor([2]), 0.5)
    tensor([[25.],
            [ 9.]])
    """
    row = torch.arange(len(reward), device=reward.device)
    ahead = row - row[: len(target), None]  # [unroll, rows]
    shares = torch.where(ahead >= 0, discount ** ahead.clamp_min(0).to(reward.dtype), 0.0)
    held = reward * (row[:, None] < end)
    return torch.maximum(target.square(), (shares @ held).square())


def last_layers(network: nn.Module) -> list[Tensor]:
    """The parameters of the layers that values come from; ValueError if there is none."""
    found: list[Tensor] = [
        p for layer in network.modules() if isinstance(layer, Output) for p in layer.parameters()
    ]
    if not found:
        raise ValueError(
            "learner.value_rms needs a head whose last layer is an r2d2.agent.precision.Output, got one that has "
            "none: set it to 0"
        )
    return found


@torch.no_grad()
def scale_gradients(layers: list[Tensor], scale: Tensor) -> None:
    """Make the gradients of these parameters, in true units, those of the parameters divided by the scale."""
    for parameter in layers:
        if parameter.grad is not None:
            parameter.grad.mul_(scale)


@contextmanager
def divided(layers: list[Tensor], scale: Tensor) -> Iterator[None]:
    """Within, these parameters are divided by the scale."""
    with torch.no_grad():
        torch._foreach_div_(layers, scale)
        try:
            yield
        finally:
            torch._foreach_mul_(layers, scale)
