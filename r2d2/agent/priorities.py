"""Initial priorities: those of new items, from the Q values that the actor had when it acted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from r2d2.agent.losses import PRIORITIES, PriorityName, length_mask, td_targets
from r2d2.config.learner import LearnerConfig
from r2d2.types import Batch, SequenceLayout

COLUMNS = ("reward", "terminated", "q_taken", "q_greedy")  # that initial priorities are made of


@dataclass(frozen=True)
class Priority:
    """The priority [B] of items with these TD errors and masks [T, B]: a formula of `losses` and its eta."""

    kind: PriorityName = "mixed"
    eta: float = 0.9

    def __call__(self, error: Tensor, mask: Tensor) -> Tensor:
        return PRIORITIES[self.kind](error, mask, self.eta)


def initial_priorities(
    batch: Batch, config: LearnerConfig, layout: SequenceLayout, priority: Priority
) -> NDArray[np.float64]:
    """Priorities [K] of new items: those that the learner would have given with the actor's weights."""
    column = {name: torch.from_numpy(batch.columns[name][:, layout.burn_in :]).T for name in COLUMNS}
    end = torch.from_numpy(batch.length + batch.lookahead - 1)
    target = td_targets(
        column["reward"], column["terminated"], column["q_greedy"], end, layout.n_step, config
    )
    error = target - column["q_taken"][: layout.unroll]
    return priority(error, length_mask(torch.from_numpy(batch.length), layout.unroll)).double().numpy()
