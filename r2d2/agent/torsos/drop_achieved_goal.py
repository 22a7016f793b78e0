"""DropAchievedGoal: the part of a goal environment's observations that an agent may look at."""

from __future__ import annotations

from torch import Tensor, nn


class DropAchievedGoal(nn.Module):
    """Drops the last `hidden` numbers of each of `stack` stacked vectors, [..., stack * D].

    Replay keeps the achieved goal with every observation, to recompute rewards; where the state is hidden, the
    goal would reveal it.

    >>> import torch
    >>> DropAchievedGoal(2, 1)(torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]))
    tensor([[1., 2., 4., 5.]])
    """

    def __init__(self, stack: int, hidden: int) -> None:
        super().__init__()
        self.stack, self.hidden = stack, hidden

    def forward(self, observation: Tensor) -> Tensor:
        return observation.unflatten(-1, (self.stack, -1))[..., : -self.hidden].flatten(-2)
