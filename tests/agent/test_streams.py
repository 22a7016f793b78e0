"""In which order a CUDA device is asked to act, to learn and to capture, with streams that only take notes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers import Setup
from torch import Tensor

from r2d2.agent import cuda_graph
from r2d2.agent.acting_stream import HIGH, ActingStream
from r2d2.agent.cuda_graph import CudaCapture

CUDA = torch.device("cuda")


class Stream:
    """Takes notes in `log`; also those of a tensor."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log, self.device = name, log, CUDA

    def wait_stream(self, other: Stream) -> None:
        self.log.append(f"{self.name} waits for {other.name}")

    def record_stream(self, stream: Stream) -> None:
        self.log.append(f"{self.name} is used by {stream.name}")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What streams were asked for."""
    notes: list[str] = []

    def make(device: torch.device, priority: int = 0) -> Stream:
        notes.append(f"made with priority {priority}")
        return Stream("side", notes)

    @contextmanager
    def entered(stream: Stream) -> Iterator[None]:
        notes.append(f"enter {stream.name}")
        yield
        notes.append(f"leave {stream.name}")

    @contextmanager
    def captured(graph: Any, *, stream: Stream, capture_error_mode: str) -> Iterator[None]:
        notes.append(f"capture on {stream.name}, {capture_error_mode}")
        yield
        notes.append("captured")

    monkeypatch.setattr(torch.cuda, "Stream", make)
    monkeypatch.setattr(torch.cuda, "stream", entered)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("current", notes))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: notes.append("synchronize"))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: None))
    monkeypatch.setattr(torch.cuda, "graph", captured)
    return notes


def test_acting_has_a_stream_of_high_priority_and_weights_change_between_its_steps(log: list[str]) -> None:
    stream = ActingStream(CUDA)
    with stream.entered():
        log.append("act")
    with stream.paused():
        log.append("load")
    assert log == [
        f"made with priority {HIGH}",
        "enter side", "act", "leave side",
        "current waits for side", "load", "side waits for current",
    ]  # fmt: skip


def test_on_a_cpu_there_is_no_stream(log: list[str]) -> None:
    stream = ActingStream(torch.device("cpu"))
    with stream.entered(), stream.paused():
        pass
    assert log == []


def test_an_actor_computes_on_its_stream_and_takes_weights_while_it_is_paused() -> None:
    setup = Setup()
    actor = setup.actor(setup.network())
    where: list[str] = []

    @contextmanager
    def inside(name: str) -> Iterator[None]:
        where.append(name)
        yield
        where.pop()

    actor.stream = SimpleNamespace(  # type: ignore[assignment]
        entered=lambda: inside("entered"), paused=lambda: inside("paused")
    )
    seen = set()
    step, load = actor.network.step, actor.network.load_state_dict

    def stepped(*arguments: Any) -> tuple[Tensor, Tensor]:
        seen.add(("step", *where))
        return step(*arguments)

    def loaded(*arguments: Any) -> Any:
        seen.add(("load", *where))
        return load(*arguments)

    actor.network.step, actor.network.load_state_dict = stepped, loaded  # type: ignore[method-assign]
    actor.load_weights(actor.network.state_dict())
    actor.reset(0)
    for number in range(5):
        actor.step(cut=number == 3)
        if number == 3:
            actor.reset(1)
    actor.end()
    assert seen == {("step", "entered"), ("load", "paused")}


def test_a_step_is_warmed_up_on_the_stream_that_is_captured(log: list[str]) -> None:
    """And other threads may go on while it is captured."""

    def step(data: Any) -> Any:
        log.append("step")
        return Stream("values", log), None

    data: Any = SimpleNamespace(tensors=lambda: {"reward": Stream("reward", log)}, burn_in_host=None)
    CudaCapture(CUDA).warm_up(step, data)
    assert log == [
        "made with priority 0", "side waits for current", "enter side", "step", "leave side",
        "current waits for side", "reward is used by side", "values is used by current",
    ]  # fmt: skip


def test_a_capture_lets_other_threads_go_on(log: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graph, "device_batch", lambda tensors, burn_in: "inputs")
    capture = CudaCapture(CUDA)
    data: Any = SimpleNamespace(tensors=dict, burn_in_host=None)
    found = capture(lambda inputs: log.append(f"step of {inputs}"), data)  # type: ignore[arg-type,func-returns-value]
    assert found.inputs == "inputs"
    assert log[1:] == ["synchronize", "capture on side, thread_local", "step of inputs", "captured"]
