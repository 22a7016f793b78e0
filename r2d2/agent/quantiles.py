"""Quantiles: the formulas of returns as K quantiles, as pure functions."""

from __future__ import annotations

import torch
from torch import Tensor

from r2d2.agent.losses import huber


def quantile_loss(quantiles: Tensor, samples: Tensor) -> Tensor:
    """The quantile Huber loss [...] of quantiles [..., K] against samples of the return [..., J].

    sum_i mean_j |tau_i - 1(u_ij < 0)| huber(u_ij) with u_ij = sample_j - quantile_i, and tau_i = (2 i + 1) / (2 K)
    (QR-DQN: Dabney et al. 2018, equation 10, with its kappa of 1).

    >>> quantile_loss(torch.tensor([0.0, 4.0]), torch.tensor([2.0, 5.0]))
    tensor(1.1250)
    """
    count = quantiles.shape[-1]
    tau = (torch.arange(count, device=quantiles.device, dtype=quantiles.dtype) + 0.5) / count
    error = samples.unsqueeze(-2) - quantiles.unsqueeze(-1)  # [..., K, J]
    weight = (tau.unsqueeze(-1) - (error.detach() < 0).to(tau.dtype)).abs()
    return (weight * huber(error)).mean(-1).sum(-1)
