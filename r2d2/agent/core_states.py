"""CoreStates: the recurrent states that a network has along episodes that somebody else played."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from r2d2.agent.networks import QNetwork


class CoreStates:
    """Follows up to N streams of rows, one row of some of them at a time, with the states `Actor` would have.

    Call it with columns [K, ...], which rows begin an episode [K] (there the state is zero) and their streams
    [K], all different; it returns the states [K, C] before these rows.
    """

    def __init__(self, network: QNetwork, streams: int) -> None:
        self.network = network
        self.device = next(network.parameters()).device
        self._rows: dict[str, NDArray] = {}  # of each observation column [N, stack, ...], newest last
        self._core = torch.zeros(streams, network.core_size, device=self.device)

    @torch.no_grad()
    def __call__(
        self, values: Mapping[str, NDArray], first: NDArray[np.bool_], streams: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        columns = {name: values[name][:, None] for name in ("previous_action", "previous_reward")}
        columns |= {
            name: self._stacked(name, values[name], first, streams)
            for name in self.network.inputs.observations
        }
        at = torch.from_numpy(streams).to(self.device)
        before = self._core[at]
        before[torch.from_numpy(first).to(self.device)] = 0.0
        inputs = self.network.inputs.read({name: self._tensor(value) for name, value in columns.items()})
        self._core[at] = self.network.unroll(self.network.encode(inputs), before)[1]
        return before.cpu().numpy()

    def _stacked(
        self, name: str, observation: NDArray, first: NDArray[np.bool_], streams: NDArray[np.int64]
    ) -> NDArray:
        """The newest `stack` rows [K, stack, ...] of a column, its new observations [K, ...] included."""
        if name not in self._rows:
            shape = (len(self._core), self.network.inputs.stack, *observation.shape[1:])
            self._rows[name] = np.zeros(shape, observation.dtype)
        rows = np.concatenate([self._rows[name][streams, 1:], observation[:, None]], 1)
        rows[first] = rows[first, -1:]
        self._rows[name][streams] = rows
        return rows

    def _tensor(self, array: NDArray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)
