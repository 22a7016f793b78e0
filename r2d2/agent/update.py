"""Update: the results of one update of the learner, while they are copied from the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

METRICS = ("loss", "gradient_norm", "td_error", "q_mean")  # of every method; some have more after these


class Update:
    """New priorities, metrics and perhaps states of a batch; the first read of any waits for the device.

    `priorities` [B] belong to the batch's ids; `metrics` are floats. `refreshed` [B, C] is, in mode
    `refreshed`, the recurrent state before the first row of each item's successor (the next item of its
    episode), as the weights before this update have it; it means nothing for an item that has no successor.

    If the gradient was not finite, the update has changed no parameter. Every read and `wait` then raise
    FloatingPointError; the first of them calls `undo`, so that the update is not counted.
    """

    def __init__(
        self,
        number: int,
        values: Tensor,
        refreshed: Tensor | None,
        undo: Callable[[], None],
        metrics: tuple[str, ...] = METRICS,
        known: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """`values` [B + K] are the priorities, then the K metrics, float32 on the device; more metrics are
        `known`."""
        self.number = number  # of updates so far, this one included
        self._known = known
        self._names, self._norm = metrics, metrics.index("gradient_norm") - len(metrics)
        self._undo: Callable[[], None] | None = undo
        self.finite = torch.isfinite(values[self._norm])  # on the device
        self._event = torch.cuda.Event() if values.is_cuda else None
        self._values = _to_host(values)
        self._refreshed = None if refreshed is None else _to_host(refreshed)
        if self._event is not None:
            self._event.record()

    def wait(self) -> None:
        """Until the device has computed it; FloatingPointError if the gradient was not finite."""
        if self._event is not None:
            self._event.synchronize()
        if torch.isfinite(self._values[self._norm]):
            return
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()
        raise not_finite(self.number)

    @cached_property
    def priorities(self) -> NDArray[np.float64]:
        self.wait()
        return self._values[: -len(self._names)].double().numpy()

    @cached_property
    def metrics(self) -> dict[str, float]:
        self.wait()
        return dict(zip(self._names, self._values[-len(self._names) :].tolist(), strict=True)) | dict(
            self._known
        )

    @property
    def refreshed(self) -> NDArray[np.float32] | None:
        self.wait()
        return None if self._refreshed is None else self._refreshed.numpy()


def not_finite(number: int) -> FloatingPointError:
    """What to raise when the gradient of update `number` is not finite."""
    return FloatingPointError(
        f"update {number}: the gradient is not finite, so no parameter was changed; "
        "lower learner.learning_rate or use precision float32"
    )


def _to_host(tensor: Tensor) -> Tensor:
    """A copy that is there once the stream has come to it; the tensor itself if it is on the host."""
    if not tensor.is_cuda:
        return tensor.cpu()
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)
