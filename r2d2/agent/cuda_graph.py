"""CudaGraph: an update as one CUDA graph, so that the host launches one thing instead of thousands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

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


class Capture(Protocol):
    """How a step is captured."""

    def warm_up(self, step: Step, data: DeviceBatch) -> Result:
        """The step as it is, before the capture."""

    def __call__(self, step: Step, data: DeviceBatch) -> Captured:
        """The captured step."""


class CudaGraph:
    """Calls `step` as it is for the first batches of a shape, then captures it and replays the capture.

    `step` must make the same calls for all batches of one shape and never wait for the device. A batch of
    another shape than the captured one goes to `step` as it is. Results are copies, which the next replay does
    not change.
    """

    def __init__(self, step: Step, capture: Capture) -> None:
        self._step, self._capture = step, capture
        self._seen = 0
        self._shapes: Shapes = ()
        self._captured: Captured | None = None

    def __call__(self, data: DeviceBatch) -> Result:
        shapes = tuple((name, tensor.shape) for name, tensor in data.tensors().items())
        if self._captured is None:
            self._seen = self._seen + 1 if shapes == self._shapes else 1
            self._shapes = shapes
            if self._seen <= WARM_UP:
                return self._capture.warm_up(self._step, data)
            self._captured = self._capture(self._step, data)
        elif shapes != self._shapes:
            return self._step(data)
        captured = self._captured
        for name, tensor in captured.inputs.tensors().items():
            tensor.copy_(data.tensors()[name], non_blocking=True)
        captured.replay()
        values, refreshed = captured.result
        return values.clone(), None if refreshed is None else refreshed.clone()


class CudaCapture:
    """torch's capture, on the stream of the warm-up as its notes on CUDA graphs ask for."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)

    def warm_up(self, step: Step, data: DeviceBatch) -> Result:
        """`step` on the stream that will be captured, in order with the current one."""
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            values, refreshed = step(data)
        current.wait_stream(self._stream)
        for tensor in data.tensors().values():  # memory is not reused before the other stream is done with it
            tensor.record_stream(self._stream)
        for found in (values, refreshed):
            if found is not None:
                found.record_stream(current)
        return values, refreshed

    def __call__(self, step: Step, data: DeviceBatch) -> Captured:
        """Records `step` on tensors like those of `data`; nothing is computed yet.

        Other threads may go on meanwhile, as one that acts does: they may copy and take memory.
        """
        inputs = device_batch(
            {name: tensor.clone() for name, tensor in data.tensors().items()}, data.burn_in_host
        )
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize(self._stream.device)
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            result = step(inputs)
        return Captured(inputs, result, graph.replay)
