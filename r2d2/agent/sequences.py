"""Sequences: Q values along the rows of a batch, from stored states through burn-in.

Burn-in runs without gradient through the online and the target network, each with its own weights from the
same stored state, and for each item only over the rows it really has. The trained rows and the lookahead
follow in one fused recurrent call each. Each network encodes each frame once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from r2d2.agent.device_batch import DeviceBatch
from r2d2.agent.inputs import InputLayout
from r2d2.agent.networks import QNetwork

InitialState = Literal["stored", "zero", "refreshed", "episode"]

Encoder = Callable[[QNetwork, int, int | None], Tensor]


@dataclass(frozen=True)
class Sequences:
    """The layout of batches, and how the networks run along them.

    `initial_state` is what an item's recurrent state begins as: the actor's, `stored` with the item; `zero`;
    `refreshed`, that is stored and then replaced by the learner's own whenever the item before it is trained;
    or `episode`, zero at the first step of whole episodes, where it is the truth.

    `fixed_shapes`: where each item has all of its burn-in or none, those without go along over padding, whose
    outcome is dropped, so that every such batch makes the same calls: a GPU loses nothing by it.
    """

    burn_in: int
    unroll: int
    period: int = 1
    initial_state: InitialState = "stored"
    fixed_shapes: bool = False

    def q_values(
        self, network: QNetwork, target: QNetwork, data: DeviceBatch
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Online and target Q values [unroll + n_step, B, A], gradients for the first `unroll` rows only, and
        the successors' states."""
        inputs, core = self._encoder(network.inputs, data), self._initial_core(data)
        warm, end = self.burn_in, self.burn_in + self.unroll
        state, refreshed = core, None
        with torch.no_grad():
            inputs_target = inputs(target, 0, None)
            state_target = self._warm_up(target, inputs_target[:warm], core, data, 0)
            q_target = target.values(target.unroll(inputs_target[warm:], state_target)[0])
            if warm:
                state, refreshed = self._burn_in(network, inputs(network, 0, warm), core, data)
        outputs, state, cut = self._unroll(network, inputs(network, warm, end), state)
        q = network.values(outputs)
        with torch.no_grad():
            tail = network.unroll(inputs(network, end, None), state.detach())[0]
            q_tail = network.values(tail)
        return torch.cat([q, q_tail]), q_target, cut if refreshed is None else refreshed

    def _encoder(self, layout: InputLayout, data: DeviceBatch) -> Encoder:
        """Core inputs of the rows [start, stop) of a batch, as one of the networks has them."""
        read = layout.read(data.columns)

        def inputs(network: QNetwork, start: int, stop: int | None) -> Tensor:
            return network.encode(read[start:stop])

        return inputs

    def _initial_core(self, data: DeviceBatch) -> Tensor:
        return data.core if self.initial_state in ("stored", "refreshed") else torch.zeros_like(data.core)

    # An item's successor begins `period` rows after the item's window does, padding before the episode's
    # first row included. Where that row is padding, both begin with the episode and have the same state.

    def _burn_in(
        self, network: QNetwork, inputs: Tensor, core: Tensor, data: DeviceBatch
    ) -> tuple[Tensor, Tensor | None]:
        """The online network's state before the first trained row, and before the successor's first row if
        that is asked for and lies not beyond; both [B, C]."""
        if self.initial_state != "refreshed" or self.period > self.burn_in:
            return self._warm_up(network, inputs, core, data, 0), None
        after = self.burn_in - self.period
        refreshed = self._warm_up(network, inputs[: self.period], core, data, after)
        return self._warm_up(network, inputs[self.period :], refreshed, data, 0), refreshed

    def _unroll(
        self, network: QNetwork, inputs: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Outputs of the trained rows, the state after them, and the one before the successor's first row if
        that is asked for and lies in or just after them."""
        at = self.period - self.burn_in
        if self.initial_state != "refreshed" or at <= 0:
            return *network.unroll(inputs, state), None
        outputs, state = network.unroll(inputs[:at], state)
        refreshed = state.detach()
        if at < self.unroll:
            rest, state = network.unroll(inputs[at:], state)
            outputs = torch.cat([outputs, rest])
        return outputs, state, refreshed

    def _warm_up(
        self, network: QNetwork, inputs: Tensor, core: Tensor, data: DeviceBatch, after: int
    ) -> Tensor:
        """The state [B, C] after the last `burn_in[b] - after` of the inputs, or after all of them if there are
        fewer: one recurrent call for each such number, each over rows that the items really have. A batch has
        one or two such numbers, rarely more."""
        if network.core_size == 0 or len(inputs) == 0:
            return core
        rows = (data.rows - after).clip(0, len(inputs))
        counts = np.unique(rows).tolist()
        if counts == [len(inputs)]:
            return network.unroll(inputs, core)[1]
        if self.fixed_shapes and set(counts) <= {0, len(inputs)}:
            some = (data.burn_in > after).unsqueeze(1)
            return torch.where(some, network.unroll(inputs, core)[1], core)
        state = core.clone()
        for count in counts:
            if count:
                items = torch.from_numpy(np.flatnonzero(rows == count)).to(core.device, non_blocking=True)
                state[items] = network.unroll(inputs[len(inputs) - count :, items], core[items])[1]
        return state

    def trained(self, network: QNetwork, data: DeviceBatch) -> tuple[Tensor, Tensor]:
        """Core inputs of the trained rows [unroll, B, F] and the state before them [B, C]."""
        inputs = self._encoder(network.inputs, data)(network, 0, self.burn_in + self.unroll)
        state = self._warm_up(network, inputs[: self.burn_in], self._initial_core(data), data, 0)
        return inputs[self.burn_in :], state

    def same_calls(self, data: DeviceBatch) -> bool:
        """Whether each item has all of its burn-in or none: then every such batch makes the same calls."""
        return bool(np.isin(data.rows, (0, self.burn_in)).all())
