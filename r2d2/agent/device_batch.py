"""DeviceBatch: a batch as tensors where the learner computes, and Transfer, which brings it there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from r2d2.types import Batch


@dataclass(frozen=True)
class DeviceBatch:
    """The parts of a `Batch` that an update reads, on the learner's device; shapes as there.

    `burn_in_host` [B] is `burn_in` once more, in host memory: it decides which calls are made.
    """

    columns: Mapping[str, Tensor]
    core: Tensor  # [B, C] float32
    burn_in: Tensor  # [B] int64
    length: Tensor  # [B] int64
    lookahead: Tensor  # [B] int64
    weight: Tensor  # [B] float32
    burn_in_host: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.burn_in_host)

    def valid(self, burn_in: int) -> Tensor:
        """Which rows [burn_in + unroll + n_step, B] are steps of the items, not padding."""
        rows = self.columns["previous_reward"].shape[1]
        step = torch.arange(-burn_in, rows - burn_in, device=self.length.device).unsqueeze(1)
        return (step >= -self.burn_in) & (step < self.length + self.lookahead)

    def tensors(self) -> dict[str, Tensor]:
        """All of them by name."""
        return dict(self.columns) | {name: getattr(self, name) for name in FIELDS}

    def parts(self, count: int) -> Iterator[DeviceBatch]:
        """The batch as up to `count` batches of nearly equal size: views, in order."""
        for at in np.array_split(np.arange(len(self)), min(count, len(self))):
            items = slice(int(at[0]), int(at[-1]) + 1)
            yield device_batch(
                {name: value[items] for name, value in self.tensors().items()}, self.burn_in_host[items]
            )


FIELDS = ("core", "burn_in", "length", "lookahead", "weight")


def device_batch(tensors: Mapping[str, Tensor], burn_in_host: NDArray[np.int64]) -> DeviceBatch:
    """The inverse of `DeviceBatch.tensors`."""
    columns = {name: value for name, value in tensors.items() if name not in FIELDS}
    return DeviceBatch(columns, **{name: tensors[name] for name in FIELDS}, burn_in_host=burn_in_host)


class Transfer:
    """Brings batches to a device, those of `columns` that they have; call it with a `Batch`.

    On the CPU the tensors share memory with the batch. Otherwise, or if `staged`, the batch is first copied
    into one of two sets of page-locked buffers, so that its arrays may be filled again at once, and from there
    by a stream of its own: the copy of a batch runs while the update before it computes.
    """

    def __init__(self, device: torch.device, columns: Sequence[str], *, staged: bool | None = None) -> None:
        self.device, self.columns = device, columns
        self.staged = device.type != "cpu" if staged is None else staged
        self._sets: tuple[dict[str, Tensor], dict[str, Tensor]] = ({}, {})
        self._turn = 0
        self._cuda = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if self._cuda else None
        self._copied = [torch.cuda.Event(), torch.cuda.Event()] if self._cuda else []

    def __call__(self, batch: Batch) -> DeviceBatch:
        arrays = {name: batch.columns[name] for name in self.columns if name in batch.columns}
        arrays |= {name: getattr(batch, name) for name in FIELDS}
        if not self.staged:
            tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        elif self._cuda:
            tensors = self._through_pinned(arrays)
        else:
            tensors = {
                name: tensor.to(self.device, copy=True) for name, tensor in self._stage(arrays).items()
            }
        return device_batch(tensors, batch.burn_in)

    def _stage(self, arrays: Mapping[str, NDArray]) -> dict[str, Tensor]:
        """Copies [...] in the set of buffers whose turn it is."""
        buffers = self._sets[self._turn]
        for name, array in arrays.items():
            source = torch.from_numpy(array)
            buffer = buffers.get(name)
            if buffer is None or buffer.shape != source.shape or buffer.dtype != source.dtype:
                buffers[name] = torch.empty(source.shape, dtype=source.dtype, pin_memory=self._cuda)
            buffers[name].copy_(source)
        self._turn = 1 - self._turn
        return {name: buffers[name] for name in arrays}

    def _through_pinned(self, arrays: Mapping[str, NDArray]) -> dict[str, Tensor]:
        event = self._copied[self._turn]
        event.synchronize()  # the copy before last has left these buffers: long ago, unless the GPU is idle
        staged = self._stage(arrays)
        with torch.cuda.stream(self._stream):
            tensors = {name: tensor.to(self.device, non_blocking=True) for name, tensor in staged.items()}
            event.record()
        current = torch.cuda.current_stream(self.device)
        current.wait_event(event)
        for tensor in tensors.values():
            tensor.record_stream(current)  # its memory is not reused before that stream is done with it
        return tensors
