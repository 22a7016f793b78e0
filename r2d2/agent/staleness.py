"""Staleness: how far the recurrent states of training are from those that the actor had (R2D2, section 3)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from r2d2.agent import losses
from r2d2.agent.learner import Learner
from r2d2.types import Batch


@torch.no_grad()
def delta_q(
    learner: Learner, batch: Batch, first: NDArray[np.float32], last: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Delta-Q [B] at the first and at the last trained step of each item (`losses.delta_q`), in float32.

    `first` and `last` [B, C] are the states that the actor really had before those steps. They are compared with
    the states that training has there: from `initial_state`, through burn-in and unroll, under the online network's
    weights of now.
    """
    network, device, layout = learner.network, learner.device, learner.layout
    data = learner.transfer(batch)
    inputs = network.inputs.read(data.columns)[: layout.burn_in + layout.unroll]
    burn_in, trained = learner.encode(network, inputs)  # [burn_in, B, ...], [unroll, B, F]
    state = learner.warm_up(network, burn_in, learner.first_state(data), data)
    at = data.length - 1, torch.arange(len(data), device=device)

    def q(rows: Tensor, core: Tensor) -> Tensor:
        return network.values(network.unroll(rows, core)[0])

    true_first = q(trained[:1], torch.from_numpy(first).to(device))[0]
    true_last = q(trained[at].unsqueeze(0), torch.from_numpy(last).to(device))[0]
    at_first = losses.delta_q(q(trained[:1], state)[0], true_first)
    at_last = losses.delta_q(q(trained, state)[at], true_last)
    return at_first.cpu().numpy(), at_last.cpu().numpy()
