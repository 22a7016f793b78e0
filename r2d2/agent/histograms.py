"""Histograms: the formulas of returns as distributions over K atoms or bins, as pure functions.

Atoms lie evenly from `low` to `high` in the network's units, which are those of h where `learner.rescaling` is on.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def projected(probability: Tensor, place: Tensor, low: float, high: float) -> Tensor:
    """The histogram [..., K] over the atoms of `probability` [..., K] that lies at `place` [..., K].

    Each share goes to the two atoms around its place, the nearer one getting more, so that the mean stays the same;
    places beyond the atoms go to the last ones (Bellemare et al. 2017, equation 7).

    >>> projected(torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.25, 9.0, 0.0]), -1.0, 1.0)
    tensor([0.0000, 0.3750, 0.6250])
    """
    last = probability.shape[-1] - 1
    at = (place.clamp(low, high) - low) * (last / (high - low))
    below = at.floor().clamp(max=last - 1)
    share = at - below
    index = below.long()
    found = torch.zeros_like(probability).scatter_add(-1, index, probability * (1.0 - share))
    return found.scatter_add(-1, index + 1, probability * share)


def smoothed_histogram(value: Tensor, edges: Tensor, deviation: float) -> Tensor:
    """The shares [..., K] of a Gaussian around `value` [...] in the bins between the `edges` [K + 1].

    They add up to 1, and a value beyond the edges counts as the last one within (HL-Gauss: Farebrother et al. 2024,
    section 3.1).

    >>> smoothed_histogram(torch.tensor(0.5), torch.tensor([-1.0, 0.0, 1.0, 2.0]), 0.5)
    tensor([0.1577, 0.6845, 0.1577])
    """
    value = value.clamp(edges[0], edges[-1]).unsqueeze(-1)
    below = torch.erf((edges - value) / (deviation * math.sqrt(2.0)))
    return below.diff(dim=-1) / (below[..., -1:] - below[..., :1])


def cross_entropy(target: Tensor, logits: Tensor) -> Tensor:
    """-sum_k target log softmax(logits) [...], both [..., K].

    >>> cross_entropy(torch.tensor([0.5, 0.5]), torch.tensor([2.0, 2.0]))
    tensor(0.6931)
    """
    return -(target * logits.log_softmax(-1)).sum(-1)
