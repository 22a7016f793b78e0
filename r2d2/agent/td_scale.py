"""The scale of TD errors, and the trust region measured in it (MEME, Kapturowski et al. 2023).

MEME divides TD errors by sigma = max(sigma_running, sigma_batch, epsilon), for the loss and for priorities, so that
values of any size are learned alike. And it leaves a step out of the loss while its Q value is further than alpha
sigma from the target network's and the gradient would take it further still: so values can be bootstrapped from the
online network. All tensors are time-major [T, B], in the network's units.
"""

from __future__ import annotations

import torch
from torch import Tensor


def batch_moments(error: Tensor, mask: Tensor) -> Tensor:
    """Weight, mean and mean square [3] of the errors where the mask is 1; the weight is 1.

    >>> batch_moments(torch.tensor([[1.0], [3.0], [9.0]]), torch.tensor([[1.0], [1.0], [0.0]]))
    tensor([1., 2., 5.])
    """
    count = mask.sum()
    return torch.stack([count / count, (error * mask).sum() / count, (error.square() * mask).sum() / count])


def moved(running: Tensor, batch: Tensor, rate: float) -> Tensor:
    """Running moments [3] with a share `rate` of those of a batch. They begin as zeros; the weight in front undoes
    what is left of these.

    >>> moved(torch.zeros(3), torch.tensor([1.0, 2.0, 5.0]), 0.5)
    tensor([0.5000, 1.0000, 2.5000])
    """
    return running + rate * (batch - running)


def deviation(moments: Tensor) -> Tensor:
    """The standard deviation [] that belongs to moments [3]; 0 before there were any.

    >>> deviation(torch.tensor([0.5, 1.0, 2.5])), deviation(torch.zeros(3))
    (tensor(1.), tensor(0.))
    """
    mean, square = moments[1:] / moments[0].clamp_min(torch.finfo(moments.dtype).tiny)
    return (square - mean.square()).clamp_min(0.0).sqrt()


def td_scale(running: Tensor, batch: Tensor, least: float) -> Tensor:
    """sigma [] = max(sigma_running, sigma_batch, least), of running moments [3] and those of this batch.

    >>> td_scale(torch.zeros(3), torch.tensor([1.0, 2.0, 5.0]), 0.01)
    tensor(1.)
    """
    return torch.maximum(deviation(running), deviation(batch)).clamp_min(least)


def outside_trust_region(q: Tensor, q_target: Tensor, target: Tensor, limit: Tensor) -> Tensor:
    """Which steps are left out: where |q - q_target| > limit, and the way from q to the target leads further off.

    `q` and `q_target` are Q(s, a) of the online and the target network, `limit` is alpha sigma.

    >>> q, q_target = torch.tensor([3.0, 3.0, 1.5]), torch.tensor([1.0, 1.0, 1.0])
    >>> outside_trust_region(q, q_target, torch.tensor([5.0, 2.0, 5.0]), torch.tensor(1.0))
    tensor([ True, False, False])
    """
    moved_by = q - q_target
    return (moved_by.abs() > limit) & (moved_by.sign() == (target - q).sign())
