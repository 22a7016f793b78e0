"""CoreStates: the recurrent states that a network has along episodes that somebody else played."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from r2d2.agent.networks import QNetwork, stack_frames


class CoreStates:
    """Follows up to N streams of rows, one row of some of them at a time, with the states `Actor` would have.

    Call it with columns [K, ...], which rows begin an episode [K] (there the state is zero) and their streams
    [K], all different; it returns the states [K, C] before these rows.
    """

    def __init__(self, network: QNetwork, streams: int, *, stack: int, pixels: bool) -> None:
        self.network = network
        self.stack, self.pixels = stack, pixels
        self.device = next(network.parameters()).device
        self._frames: NDArray | None = None  # [N, stack, ...] newest last
        self._core = torch.zeros(streams, network.core_size, device=self.device)

    @torch.no_grad()
    def __call__(
        self, values: Mapping[str, NDArray], first: NDArray[np.bool_], streams: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        observation = values["observation"]
        if self._frames is None:
            shape = (len(self._core), self.stack, *observation.shape[1:])
            self._frames = np.zeros(shape, observation.dtype)
        frames = np.concatenate([self._frames[streams, 1:], observation[:, None]], 1)
        frames[first] = frames[first, -1:]
        self._frames[streams] = frames
        at = torch.from_numpy(streams).to(self.device)
        before = self._core[at]
        before[torch.from_numpy(first).to(self.device)] = 0.0
        inputs = self.network.encode(
            stack_frames(self._tensor(frames), self.stack, pixels=self.pixels),
            self._tensor(values["previous_action"])[None],
            self._tensor(values["previous_reward"])[None],
        )
        self._core[at] = self.network.unroll(inputs, before)[1]
        return before.cpu().numpy()

    def _tensor(self, array: NDArray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)
