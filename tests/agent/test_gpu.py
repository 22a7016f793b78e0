"""Laws of the fast path on a real CUDA device: it is the update of the CPU, and nothing in it waits.
Skipped elsewhere."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import Setup, items_of, select
from run_cases import arguments, call, lines

from r2d2.agent.cuda_graph import WARM_UP
from r2d2.agent.learner import Learner
from r2d2.types import Batch

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

FRAMES = Setup(shape=(24, 24), dtype="uint8", stack=3)


@pytest.fixture(autouse=True)
def exact_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions and recurrent layers in float32; PyTorch's default there is TF32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def learner_of(setup: Setup, device: str, **changes: Any) -> Learner:
    learner = setup.learner(setup.network(1), device=device, **changes)
    learner.target.load_state_dict(setup.network(2).state_dict())
    return learner


def batch_of(setup: Setup) -> Batch:
    """Items that have all of their burn-in or none, so that every batch makes the same calls."""
    _, batch = items_of(setup, setup.network(0), steps=80)
    return select(batch, np.isin(batch.burn_in, (0, setup.burn_in)))


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("setup", [FRAMES, Setup(), Setup(core="gru"), Setup(core="none")])
def test_updates_are_those_of_the_cpu(setup: Setup, accumulate: int) -> None:
    here, there = (
        learner_of(setup, device, gradient_accumulation_steps=accumulate) for device in ("cpu", "cuda")
    )
    batch = batch_of(setup)
    for _ in range(4):
        expected, got = here.update(batch), there.update(batch)
        np.testing.assert_allclose(got.priorities, expected.priorities, rtol=1e-3, atol=1e-5)
    for name, value in here.network.state_dict().items():
        torch.testing.assert_close(there.network.state_dict()[name].cpu(), value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("graphs", [False, True])
def test_no_update_waits_for_the_device(graphs: bool) -> None:
    """PyTorch raises at each call that would, in updates whose results are read later."""
    learner, batch = learner_of(FRAMES, "cuda", graphs=graphs), batch_of(FRAMES)
    for _ in range(WARM_UP + 2):
        learner.update(batch).metrics  # noqa: B018
    torch.cuda.set_sync_debug_mode("error")
    try:
        updates = [learner.update(batch) for _ in range(2)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(np.isfinite(update.priorities).all() for update in updates)


def test_a_graph_makes_the_updates_that_were_captured() -> None:
    """Warm-up, capture and replays, with other weights each time, and a batch of another size between."""
    plain, graphed = learner_of(FRAMES, "cuda"), learner_of(FRAMES, "cuda", graphs=True)
    batch = batch_of(FRAMES)
    small = select(batch, np.arange(len(batch.ids) - 1))
    for number in range(WARM_UP + 5):
        chosen = small if number == WARM_UP + 3 else batch
        scaled = dataclasses.replace(chosen, weight=chosen.weight * np.float32(1 / (1 + number)))
        expected, got = plain.update(scaled), graphed.update(scaled)
        np.testing.assert_allclose(got.priorities, expected.priorities, rtol=1e-4, atol=1e-6)
    again = copy.deepcopy(graphed.state_dict())
    assert again["updates"] == WARM_UP + 5


def test_bfloat16_errors_are_within_a_hundredth() -> None:
    setup = Setup(shape=(84, 84), dtype="uint8", stack=4, episodes=Setup().episodes[1:3], steps=60)
    batch = select(batch_of(setup), np.arange(4))
    exact = learner_of(setup, "cuda").errors(batch)
    mixed = learner_of(setup, "cuda", precision=torch.bfloat16).errors(batch)
    distance = ((mixed.error - exact.error) * exact.mask).norm()
    assert 0 < distance < 5e-2 * (exact.error * exact.mask).norm()  # weights are twice as large as usual here


@pytest.mark.parametrize("setup", [FRAMES, Setup()])
def test_an_actor_plays_as_on_the_cpu(setup: Setup) -> None:
    """The same rows: actions, observations, and within rounding the Q values and states that are kept."""
    actors = [setup.actor(setup.network().to(device)) for device in ("cpu", "cuda")]
    for step in range(60):
        expected, got = (actor.step(cut=step == 59) for actor in actors)
        for here, there in zip(expected, got, strict=True):
            np.testing.assert_allclose(there.core, here.core, rtol=1e-3, atol=1e-5)
            for name, value in here.values.items():
                np.testing.assert_allclose(there.values[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("runtime", ["local", "threads"])
def test_a_run_trains_saves_and_goes_on(
    runtime: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "run"
    changes = {"run__device": "cuda", "run__runtime": runtime, "run__steps": 300}
    assert call(capsys, "train", "r2d2", *arguments(**changes), "--run-dir", run_dir).code == 0
    updates = lines(run_dir)[-1]["updates"]
    assert updates > 0
    assert call(capsys, "resume", run_dir, "--steps", 600).code == 0
    assert lines(run_dir)[-1]["updates"] > updates
    assert call(capsys, "evaluate", run_dir, "--episodes", 2).code == 0
