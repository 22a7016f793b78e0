"""CudaGraph: an update as one CUDA graph, so that the host launches one thing instead of thousands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from r2d2.agent.device_batch import DeviceBatch, device_batch

Result = tuple[Tensor, Tensor | None]
Step = Callable[[DeviceBatch], Result]
Shapes = tuple[tuple[str, torch.Size], ...]

WARM_UP = (
    3  # updates before the capture: kernels are chosen and memory pools grow (PyTorch's CUDA graph notes)
)


@dataclass(frozen=True)
class Captured:
    """A graph with the tensors that it reads and writes; `replay` runs it."""

    inputs: DeviceBatch
    result: Result
    replay: Callable[[], None]


class CudaGraph:
    """Calls `step` as it is for the first batches of a shape, then captures it and replays the capture.

    `step` must make the same calls for all batches of one shape and never wait for the device. A batch of
    another shape than the captured one goes to `step` as it is. Results are copies, which the next replay does
    not change. `capture` is torch's, an argument for the tests.
    """

    def __init__(self, step: Step, capture: Callable[[Step, DeviceBatch], Captured] | None = None) -> None:
        self._step, self._capture = step, capture or cuda_capture
        self._seen = 0
        self._shapes: Shapes = ()
        self._captured: Captured | None = None

    def __call__(self, data: DeviceBatch) -> Result:
        shapes = tuple((name, tensor.shape) for name, tensor in data.tensors().items())
        if self._captured is None:
            self._seen = self._seen + 1 if shapes == self._shapes else 1
            self._shapes = shapes
            if self._seen <= WARM_UP:
                return self._step(data)
            self._captured = self._capture(self._step, data)
        elif shapes != self._shapes:
            return self._step(data)
        captured = self._captured
        for name, tensor in captured.inputs.tensors().items():
            tensor.copy_(data.tensors()[name], non_blocking=True)
        captured.replay()
        values, refreshed = captured.result
        return values.clone(), None if refreshed is None else refreshed.clone()


def cuda_capture(step: Step, data: DeviceBatch) -> Captured:
    """Records `step` on tensors like those of `data`; nothing is computed yet."""
    inputs = device_batch(
        {name: tensor.clone() for name, tensor in data.tensors().items()}, data.burn_in_host
    )
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        result = step(inputs)
    return Captured(inputs, result, graph.replay)
