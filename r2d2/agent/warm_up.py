"""Warm-up: from the state stored with each item to the one before its first trained row.

Burn-in rows are right-aligned in a batch. Item b has the last `burn_in[b]` of them, and its stored state is the one
before the first of these; rows further left are padding that no network may see::

    rows    0            4            8 = burn_in
    item 0  | . . . . . . . . |          burn_in[0] = 8, its state is that before row 0
    item 1  |         . . . . |          burn_in[1] = 4, its state is that before row 4
    item 2  |                 |          burn_in[2] = 0, its state is that before the first trained row
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from r2d2.agent.device_batch import DeviceBatch
from r2d2.agent.networks import QNetwork


@torch.no_grad()
def warm_up(
    network: QNetwork, inputs: Tensor, state: Tensor, data: DeviceBatch, *, left: int, padded: bool
) -> Tensor:
    """The states [B, C] after some of the burn-in rows, core inputs [R, B, F], of which `left` come after these.

    `state` is that before the rows, or the item's own where the item begins among them or later. There is one
    recurrent call for each number of rows that an item has here; a batch has one or two such numbers, rarely more.

    `padded`: where each item has all of the rows or none, those without go along over padding and the outcome is
    dropped, so that every such batch makes the same calls: a GPU loses nothing by it.
    """
    if network.core_size == 0 or len(inputs) == 0:
        return state
    rows = (data.burn_in_host - left).clip(0, len(inputs))
    counts = np.unique(rows).tolist()
    if counts == [len(inputs)]:
        return network.unroll(inputs, state)[1]
    if padded and set(counts) <= {0, len(inputs)}:
        begun = (data.burn_in > left).unsqueeze(1)
        return torch.where(begun, network.unroll(inputs, state)[1], state)
    after = state.clone()
    for count in counts:
        if count:
            items = torch.from_numpy(np.flatnonzero(rows == count)).to(state.device, non_blocking=True)
            after[items] = network.unroll(inputs[len(inputs) - count :, items], state[items])[1]
    return after
