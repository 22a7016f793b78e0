"""CoreStates: the recurrent states that a network has along episodes that somebody else played."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from r2d2.agent.inputs import FrameStack
from r2d2.agent.networks import QNetwork


class CoreStates:
    """Follows up to N streams of rows, one row of some of them at a time, with the states `Actor` would have.

    Call it with columns [K, ...], which rows begin an episode [K] (there the state is zero) and their streams
    [K], all different; it returns the states [K, C] before these rows.
    """

    def __init__(self, network: QNetwork, streams: int) -> None:
        self.network = network
        self.device = next(network.parameters()).device
        self._frames = FrameStack(network.inputs, streams, self.device)
        self._core = torch.zeros(streams, network.core_size, device=self.device)

    @torch.no_grad()
    def __call__(
        self, values: Mapping[str, NDArray], first: NDArray[np.bool_], streams: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        at, begun = (torch.from_numpy(chosen).to(self.device) for chosen in (streams, streams[first]))
        self._frames.push(values, at)
        self._frames.begin(begun)
        self._core[begun] = 0.0
        before = self._core[at]
        inputs = self._frames.read(values["previous_action"], values["previous_reward"], at)
        self._core[at] = self.network.unroll(self.network.encode(inputs), before)[1]
        return before.cpu().numpy()
