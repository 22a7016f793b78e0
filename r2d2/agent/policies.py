"""The formulas of policies over vectors from -1 to 1, as pure functions."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

EDGE = 1e-6  # how near to -1 and 1 an action comes: float32 has no larger numbers below 1 to spare (ours)


def squashed(mean: Tensor, log_deviation: Tensor, noise: Tensor) -> Tensor:
    """The action tanh(mean + deviation * noise) of a squashed Gaussian, kept off -1 and 1 by `EDGE`.

    >>> squashed(torch.tensor([0.5]), torch.tensor([0.0]), torch.tensor([-0.5]))
    tensor([0.])
    """
    return (mean + log_deviation.exp() * noise).tanh().clamp(EDGE - 1.0, 1.0 - EDGE)


def gaussian_log_probability(mean: Tensor, log_deviation: Tensor, noise: Tensor) -> Tensor:
    """log pi(a) [...] of the actions that `squashed` makes of this noise [..., A] (SAC, appendix C).

    With u = mean + deviation * noise: sum over A of log N(u) - log(1 - tanh(u)^2), the second as
    2 (log 2 - u - softplus(-2 u)), which is exact where 1 - tanh(u)^2 rounds to 0.

    >>> gaussian_log_probability(torch.zeros(1), torch.zeros(1), torch.ones(1))
    tensor(-0.5514)
    """
    u = mean + log_deviation.exp() * noise
    density = -0.5 * noise.square() - log_deviation - 0.5 * math.log(2.0 * math.pi)
    return (density - 2.0 * (math.log(2.0) - u - softplus(-2.0 * u))).sum(-1)


def action_log_probability(mean: Tensor, log_deviation: Tensor, action: Tensor) -> Tensor:
    """log pi(a) [...] of given actions [..., A]; those beyond `EDGE` are taken for the last ones within.

    >>> action_log_probability(torch.zeros(1), torch.zeros(1), torch.tensor([1.0]).tanh())
    tensor(-0.5514)
    """
    u = torch.atanh(action.clamp(EDGE - 1.0, 1.0 - EDGE))
    return gaussian_log_probability(mean, log_deviation, (u - mean) * (-log_deviation).exp())


def smoothed(action: Tensor, noise: Tensor, deviation: float, limit: float) -> Tensor:
    """TD3's target action: noise of this standard deviation is clipped to `limit` and added (section 5.3).

    >>> smoothed(torch.tensor([0.0, 0.9]), torch.tensor([1.0, 9.0]), 0.2, 0.5)
    tensor([0.2000, 1.0000])
    """
    return (action + (deviation * noise).clamp(-limit, limit)).clamp(-1.0, 1.0)


def soft_value(q: Tensor, log_probability: Tensor, temperature: Tensor) -> Tensor:
    """V = min_i Q_i - temperature * log pi of one action of the policy (SAC, equation 3); Q [critics, ...].

    >>> soft_value(torch.tensor([[2.0], [1.0]]), torch.tensor([-3.0]), torch.tensor(0.5))
    tensor([2.5000])
    """
    return q.amin(0) - temperature * log_probability


def temperature_loss(log_temperature: Tensor, log_probability: Tensor, target_entropy: float) -> Tensor:
    """-log temperature * (log pi + target entropy) [...]: raises the temperature while the policy's entropy is
    below its target (Haarnoja et al. 2018b, section 5, with the logarithm as in the authors' code).

    >>> temperature_loss(torch.tensor(1.0), torch.tensor([2.0]), -1.0)
    tensor([-1.])
    """
    return -log_temperature * (log_probability.detach() + target_entropy)
