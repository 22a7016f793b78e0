"""ActingStream: on a GPU, acting goes beside learning instead of behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from r2d2.agent.stages import NOTHING

HIGH = -1  # the priority that a CUDA device prefers (PyTorch, torch.cuda.Stream)


class ActingStream:
    """A CUDA stream of high priority, on which an actor's network and its inputs live; on other devices nothing.

    On the learner's stream an acting step would wait until all updates that were submitted have been computed.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device, priority=HIGH) if device.type == "cuda" else None

    def entered(self) -> AbstractContextManager[Any]:
        """Within it, calls go to this stream."""
        return NOTHING if self._stream is None else torch.cuda.stream(self._stream)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within it, calls on the current stream may read and write what this stream uses: they come after all that
        was submitted here before, and all that is submitted here later comes after them."""
        if self._stream is None:
            yield
            return
        current = torch.cuda.current_stream(self._stream.device)
        current.wait_stream(self._stream)
        yield
        self._stream.wait_stream(current)
