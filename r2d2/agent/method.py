"""Method: what is learned from the rows that a learner has unrolled, `QLearning` or `PolicyLearning`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from r2d2.agent.device_batch import DeviceBatch
from r2d2.agent.value_scale import ValueScale

if TYPE_CHECKING:
    from r2d2.agent.learner import Learner

NOISE = "noise"  # the column of an update's random numbers


class TDErrors(NamedTuple):
    """What `Learner.errors` finds; the first three are [unroll, B], errors and Q(s, a) with gradients."""

    error: Tensor
    q_taken: Tensor
    mask: Tensor
    refreshed: Tensor | None  # [B, C], see `Update`


class Unrolled(NamedTuple):
    """Core outputs along a batch, and the successors' states."""

    trained: Tensor  # [unroll, B, W] of the online network, with gradients
    lookahead: Tensor  # [n_step, B, W] of the online network
    target: Tensor  # [unroll + n_step, B, W] of the target network
    refreshed: Tensor | None  # [B, C], see `Update`


class Backward(NamedTuple):
    """A method's results for a part of a batch whose gradients it has added."""

    priorities: Tensor  # [B]
    sums: Tensor  # [K], which may be added up over the parts
    refreshed: Tensor | None  # [B, C]


class Method(Protocol):
    """A loss with its targets and priorities."""

    columns: tuple[str, ...]  # that it reads, beside the network's inputs
    metrics: tuple[str, ...]
    value_scale: ValueScale | None  # by which it divides TD errors

    def noise(self, items: int, rows: int) -> NDArray[np.float32] | None:
        """The random numbers of an update [items, rows, K], for trained and lookahead rows."""

    def errors(self, learner: Learner, data: DeviceBatch) -> TDErrors:
        """See `Learner.errors`."""

    def backward(self, learner: Learner, data: DeviceBatch, *, items: int) -> Backward:
        """Adds the gradients of a part of a batch of `items` items."""

    def summary(self, sums: Tensor, norm: Tensor) -> Tensor:
        """The `metrics` of a whole batch, from its sums and the norm of its gradient."""

    def state_dict(self) -> dict[str, Any]:
        """What the learner saves beside its networks."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore it from the learner's state."""
