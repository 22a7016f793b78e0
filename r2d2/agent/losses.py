"""The formulas of R2D2 as pure functions on time-major tensors [T, B].

Actors and the learner call the same functions, so an initial priority is the priority that the learner
would have given with the actor's weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

LossName = Literal["squared", "huber"]
PriorityName = Literal["mixed", "lap"]

EPSILON = 1e-3  # of value rescaling: Pohlen et al. (2018), R2D2 appendix table 2


def rescale(x: Tensor, epsilon: float = EPSILON) -> Tensor:
    """h(x) = sign(x) (sqrt(|x| + 1) - 1) + epsilon x, without the cancellation near 0.

    >>> rescale(torch.tensor([0.0, 3.0, -8.0]))
    tensor([ 0.0000,  1.0030, -2.0080])
    """
    size = x.abs()
    return x.sign() * (size / ((size + 1.0).sqrt() + 1.0)) + epsilon * x


def unrescale(y: Tensor, epsilon: float = EPSILON) -> Tensor:
    """The inverse of `rescale`, accurate to 4e-7 relative in float32 (the textbook form loses 5 % at 1e-3).

    With a = |y|: w = sqrt(|x| + 1) - 1 solves epsilon w^2 + (1 + 2 epsilon) w = a, and |x| = w (w + 2).

    >>> unrescale(torch.tensor([0.5, -2.0]))
    tensor([ 1.2463, -7.9523])
    """
    a = y.abs()
    b = 1.0 + 2.0 * epsilon
    w = 2.0 * a / (b + (b * b + 4.0 * epsilon * a).sqrt())
    return y.sign() * w * (w + 2.0)


def n_step_targets(reward: Tensor, discount: Tensor, value: Tensor, end: Tensor, n: int) -> Tensor:
    """Unrescaled n-step returns [T, B] for the first T = rows - n rows of [rows, B] inputs.

    `discount[t]` is gamma, or 0 where step t terminated. `value[t]` is the bootstrap value of observation t.
    `end` [B] is the row of the last observation that belongs to the item: a window that would reach past it
    is cut there and bootstraps from it, so the end of an episode costs no step.

    target[t] = sum_{k<m} (prod_{j<k} discount[t+j]) reward[t+k] + (prod_{j<m} discount[t+j]) value[t+m],
    m = min(n, end - t). Rows at or past `end` come out as value[end]; mask them.

    >>> one = torch.ones(4, 1)
    >>> n_step_targets(one, 0.5 * one, 8 * one, torch.tensor([3]), 2).flatten()
    tensor([3.5000, 3.5000])
    """
    steps = reward.shape[0] - n
    row = torch.arange(steps, device=reward.device).unsqueeze(1)  # [T, 1]
    total = torch.zeros_like(reward[:steps])
    keep = torch.ones_like(total)  # product of the discounts so far
    for k in range(n):
        inside = row + k < end  # [T, B]
        total = total + torch.where(inside, keep * reward[k : k + steps], 0.0)
        keep = torch.where(inside, keep * discount[k : k + steps], keep)
    at = torch.minimum(row + n, end.expand(steps, -1))
    return total + keep * value.gather(0, at)


def sequence_priority(error: Tensor, mask: Tensor, eta: float) -> Tensor:
    """p = eta max_t |error| + (1 - eta) mean_t |error| over the steps with mask 1; [T, B] -> [B].

    >>> sequence_priority(torch.tensor([[1.0], [-3.0], [9.0]]), torch.tensor([[1.0], [1.0], [0.0]]), 0.9)
    tensor([2.9000])
    """
    size = error.abs() * mask
    return eta * size.amax(0) + (1.0 - eta) * size.sum(0) / mask.sum(0)


def lap_priority(error: Tensor, mask: Tensor, eta: float) -> Tensor:
    """LAP's priority (Fujimoto et al. 2020): `sequence_priority` of max(|error|, 1).

    The exponent is the selector's. It goes with `huber` and without importance weights: where errors are
    below 1, and Huber's gradient shrinks with them, items are drawn alike. On sequences (ours) the maximum
    with 1 is taken step by step.

    >>> lap_priority(torch.tensor([[0.5], [-3.0], [9.0]]), torch.tensor([[1.0], [1.0], [0.0]]), 0.5)
    tensor([2.5000])
    """
    return sequence_priority(error.abs().clamp_min(1.0), mask, eta)


def squared(error: Tensor) -> Tensor:
    """error^2 / 2 of each step.

    >>> squared(torch.tensor([-3.0, 0.5]))
    tensor([4.5000, 0.1250])
    """
    return 0.5 * error.square()


def huber(error: Tensor) -> Tensor:
    """error^2 / 2 up to |error| = 1, |error| - 1/2 beyond: the gradient of a step is never larger than 1.

    >>> huber(torch.tensor([-3.0, 0.5]))
    tensor([2.5000, 0.1250])
    """
    size = error.abs()
    return torch.where(size <= 1.0, squared(error), size - 0.5)


def sequence_loss(loss: Tensor, mask: Tensor, weight: Tensor, items: int) -> Tensor:
    """The loss [] of losses per step [T, B]: their weighted sum over time, mean over `items`.

    >>> sequence_loss(torch.tensor([[1.0, 2.0], [3.0, 9.0]]), torch.tensor([[1.0, 1.0], [1.0, 0.0]]),
    ...               torch.tensor([1.0, 0.5]), 2)
    tensor(2.5000)
    """
    return (loss * mask).sum(0).mul(weight).sum() / items


def delta_q(used: Tensor, true: Tensor) -> Tensor:
    """Delta-Q = ||used - true||_2 / |max used| over the actions; [B, A] and [B, A] -> [B].

    The staleness of a recurrent state (R2D2, section 3): `used` are the Q values from the state that training
    starts from, `true` those from the state that the actor really had, both under today's weights.

    >>> delta_q(torch.tensor([[3.0, 5.0]]), torch.tensor([[0.0, 1.0]]))
    tensor([1.])
    """
    return (used - true).norm(dim=-1) / used.amax(-1).abs()


def length_mask(length: Tensor, steps: int) -> Tensor:
    """1 for the first `length[b]` of `steps` rows, else 0: float [steps, B].

    >>> length_mask(torch.tensor([1, 2]), 2)
    tensor([[1., 1.],
            [0., 1.]])
    """
    row = torch.arange(steps, device=length.device).unsqueeze(1)
    return (row < length).float()


LOSSES: dict[LossName, Callable[[Tensor], Tensor]] = {"squared": squared, "huber": huber}
PRIORITIES: dict[PriorityName, Callable[[Tensor, Tensor, float], Tensor]] = {
    "mixed": sequence_priority,
    "lap": lap_priority,
}


@dataclass(frozen=True)
class Priority:
    """The priority [B] of items with these TD errors and masks [T, B]: a formula of `losses` and its eta."""

    kind: PriorityName = "mixed"
    eta: float = 0.9

    def __call__(self, error: Tensor, mask: Tensor) -> Tensor:
        return PRIORITIES[self.kind](error, mask, self.eta)
