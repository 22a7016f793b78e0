"""Laws of the fast path: it is the plain update, computed otherwise, and nothing in it waits for a device."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_cases import same
from helpers import Setup, items_of, select
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from r2d2.agent.cuda_graph import WARM_UP, Captured, CudaGraph
from r2d2.agent.device_batch import DeviceBatch, Transfer
from r2d2.agent.learner import Learner
from r2d2.agent.losses import length_mask
from r2d2.agent.networks import QNetwork
from r2d2.agent.torsos import convolutional
from r2d2.config.network import NetworkConfig
from r2d2.types import Batch

FRAMES = Setup(shape=(24, 24), dtype="uint8", stack=3)


def case(setup: Setup, items: int = 12, **changes: Any) -> tuple[Learner, Batch]:
    """A learner whose target network differs from the online one, and some items of all kinds."""
    _, batch = items_of(setup, setup.network(0), steps=80)
    learner = setup.learner(setup.network(1), **changes)
    learner.target.load_state_dict(setup.network(2).state_dict())
    chosen = np.linspace(0, len(batch.ids) - 1, items).astype(int)
    weight = np.linspace(0.2, 1, items, dtype=np.float32)
    return learner, dataclasses.replace(select(batch, chosen), weight=weight)


def whole_or_none(setup: Setup, batch: Batch) -> Batch:
    """Those items that have all of their burn-in or none."""
    kept = select(batch, np.isin(batch.burn_in, (0, setup.burn_in)))
    assert 0 < np.count_nonzero(kept.burn_in) < len(kept.ids)
    return kept


def plain_torso(network: QNetwork, floats: Tensor) -> Tensor:
    """The torso as one would write it: layer after layer, nothing in place, contiguous floats."""
    x = floats.contiguous()
    for module in network.torso:
        if isinstance(module, torch.nn.ReLU):
            x = torch.where(x > 0, x, 0.0)
        elif isinstance(module, torch.nn.Conv2d):
            weight = module.weight.contiguous()
            x = torch.nn.functional.conv2d(x, weight, module.bias, module.stride)
        else:
            x = module(x)
    return x


@pytest.mark.parametrize("chunk", [1, 7, 128])
def test_encoding_in_chunks_is_encoding(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values and gradients of a plain float32 torso, whatever the size of the chunks, within 1e-5."""
    monkeypatch.setattr(convolutional, "CHUNK", chunk)
    network = FRAMES.network(0)
    stored = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 9, 24, 24), np.uint8))
    zeros = torch.zeros(4, 7)
    columns = {"observation": stored, "previous_action": zeros.int(), "previous_reward": zeros}
    inputs = network.inputs.read(columns)
    observation = inputs.observation["observation"]  # [7, 4, 3, 24, 24]
    got = network.encode(inputs)[..., :8]
    wanted = plain_torso(network, observation.flatten(0, 1).float() / 255.0).unflatten(0, (7, 4))
    scale = wanted.abs().max()
    assert (got - wanted).abs().max() < 1e-5 * scale
    direction = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(1))
    parameters = list(network.torso.parameters())
    pairs = zip(
        torch.autograd.grad((got * direction).sum(), parameters),
        torch.autograd.grad((wanted * direction).sum(), parameters),
        strict=True,
    )
    for a, b in pairs:
        assert (a - b).norm() < 1e-5 * b.norm()


@pytest.mark.parametrize("mode", ["stored", "refreshed"])
@pytest.mark.parametrize("parts", [2, 5, 100])
def test_accumulating_changes_nothing(parts: int, mode: Any) -> None:
    """An update in parts is the update: gradients, metrics, priorities and states, in the batch's order."""
    whole, batch = case(Setup(life_loss="roll"), initial_state=mode)
    split = copy.deepcopy(whole)
    split.config = dataclasses.replace(split.config, gradient_accumulation_steps=parts)
    expected, got = whole.update(batch), split.update(batch)
    np.testing.assert_allclose(got.priorities, expected.priorities, rtol=1e-5)
    assert got.metrics == pytest.approx(expected.metrics, rel=1e-5)
    for a, b in zip(split.network.parameters(), whole.network.parameters(), strict=True):
        assert a.grad is not None
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6)
    if mode == "refreshed":
        assert expected.refreshed is not None
        np.testing.assert_allclose(got.refreshed, expected.refreshed, rtol=1e-5, atol=1e-6)


def test_padded_burn_in_is_no_burn_in() -> None:
    """Calls of one shape for items with and without burn-in find what separate calls find."""
    for mode in ("stored", "refreshed"):
        setup = Setup(life_loss="roll")
        learner, batch = case(setup, items=20, initial_state=mode)
        batch = whole_or_none(setup, batch)
        twin = copy.deepcopy(learner)
        twin.padded = True
        expected, got = learner.update(batch), twin.update(batch)
        np.testing.assert_allclose(got.priorities, expected.priorities, rtol=1e-5, atol=1e-6)
        if expected.refreshed is not None and got.refreshed is not None:
            np.testing.assert_allclose(got.refreshed, expected.refreshed, rtol=1e-5, atol=1e-6)


class Waits(TorchDispatchMode):
    """Notes each operation for which a GPU would make the host wait: a number or a size that must be known."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func.overloadpacket)
        if name in ("aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.equal"):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "setup", [FRAMES, Setup(core="gru"), Setup(core="none")], ids=["lstm", "gru", "none"]
)
def test_nothing_waits_for_the_device(setup: Setup) -> None:
    """An asynchronous update asks for no number; reading what it found does, and so does a plain update."""
    learner, batch = case(setup, asynchronous=True, gradient_accumulation_steps=2)
    learner.padded = True
    with Waits() as waits:
        update = learner.update(batch)
        assert waits.found == []
        update.wait()
        assert waits.found
    learner.asynchronous = False
    with Waits() as waits:
        learner.update(batch)
    assert waits.found


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
def test_an_asynchronous_gradient_that_is_not_finite_changes_nothing(optimizer: str) -> None:
    """It raises when it is read, one update late; the update after it is as if it had not been."""
    setup = Setup()
    learner, batch = case(setup, asynchronous=True, optimizer=optimizer)
    learner.update(batch)
    twin, before = copy.deepcopy(learner), copy.deepcopy(learner.state_dict())
    reward = batch.columns["reward"].copy()
    reward[0, setup.burn_in] = np.nan
    bad = learner.update(dataclasses.replace(batch, columns=dict(batch.columns) | {"reward": reward}))
    unread = learner.state_dict() | {"updates": 1}
    assert same(unread, before)
    good, expected = learner.update(batch), twin.update(batch)
    for read in ("priorities", "metrics", "refreshed", "priorities"):  # undone by the first of them alone
        with pytest.raises(FloatingPointError, match=r"update 2: .*no parameter was changed.*learning_rate"):
            getattr(bad, read)
    with pytest.raises(FloatingPointError, match="update 2"):
        bad.wait()
    np.testing.assert_array_equal(good.priorities, expected.priorities)
    assert same(learner.state_dict(), twin.state_dict())


@pytest.mark.parametrize("share", [1.0, 0.1])
def test_the_target_does_not_move_after_a_gradient_that_is_not_finite(share: float) -> None:
    setup = Setup()
    learner, batch = case(setup, asynchronous=True, target_period=1, target_averaging=share)
    learner.update(batch)
    before = copy.deepcopy(learner.state_dict())
    reward = np.full_like(batch.columns["reward"], np.inf)
    with pytest.raises(FloatingPointError):
        learner.update(dataclasses.replace(batch, columns=dict(batch.columns) | {"reward": reward})).wait()
    assert same(learner.state_dict(), before)


def test_a_staged_batch_is_apart_from_the_arrays_it_came_from() -> None:
    """It keeps its contents when the arrays are filled again, and when the buffers are; shapes may change."""
    setup = Setup()
    learner, batch = case(setup)
    transfer = Transfer(torch.device("cpu"), learner.transfer.columns, staged=True)
    arrays = {name: column.copy() for name, column in batch.columns.items()}
    moving = dataclasses.replace(batch, columns=arrays)
    expected = [copy.deepcopy(learner).update(batch).priorities]
    staged = [transfer(moving)]
    for column in arrays.values():
        column[...] = 0
    staged.append(transfer(moving))
    expected.append(copy.deepcopy(learner).update(moving).priorities)
    for column in arrays.values():
        column[...] = 1
    small = select(moving, np.arange(3))
    assert [len(transfer(other)) for other in (moving, small, moving)] == [12, 3, 12]
    for data, wanted in zip(staged, expected, strict=True):
        got, _ = copy.deepcopy(learner)._step(data)
        np.testing.assert_array_equal(got[:12].double().numpy(), wanted)


def test_a_graph_gets_every_batch_of_its_shape_and_no_other() -> None:
    """The first go to the step itself, then one capture is replayed with the data of each batch; a batch of
    another size is computed apart. What was returned stays as it is."""
    learner, batch = case(Setup(life_loss="roll"))
    plain, captures, replays = copy.deepcopy(learner), 0, 0

    class Capture:
        def warm_up(self, step: Any, data: DeviceBatch) -> Any:
            return step(data)

        def __call__(self, step: Any, data: DeviceBatch) -> Captured:
            return capture(step, data)

    def capture(step: Any, data: DeviceBatch) -> Captured:
        nonlocal captures
        captures += 1
        inputs = copy.deepcopy(data)
        for tensor in inputs.tensors().values():
            tensor.zero_()
        values = torch.zeros(len(data) + 4)

        def replay() -> None:
            nonlocal replays
            replays += 1
            values.copy_(step(inputs)[0])

        return Captured(inputs, (values, None), replay)

    learner._graph = CudaGraph(learner._step, Capture())
    batch = whole_or_none(Setup(), batch)
    small = select(batch, np.arange(len(batch.ids) - 1))
    updates = []
    for number in range(WARM_UP + 4):
        chosen = small if number == WARM_UP + 2 else batch
        scaled = dataclasses.replace(chosen, weight=chosen.weight * np.float32(1 / (1 + number)))
        updates.append((learner.update(scaled), plain.update(scaled)))
    assert (captures, replays) == (1, 3)
    for got, expected in updates:
        np.testing.assert_array_equal(got.priorities, expected.priorities)
        assert got.metrics == expected.metrics


def test_precisions_agree_on_the_papers_layers() -> None:
    """TD errors of DQN's convolutions on 84 x 84 frames: bfloat16 within 1e-2 of float32, float32 within 1e-5
    of float64, as shares of their norm."""
    setup = Setup(shape=(84, 84), dtype="uint8", stack=4, episodes=Setup().episodes[1:3], steps=60)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = QNetwork(setup.observations, 3, NetworkConfig(features=64, core_width=5, hidden=64))
    _, batch = items_of(setup, network, steps=30)
    batch = select(batch, np.arange(4))
    mask = length_mask(torch.from_numpy(batch.length), setup.unroll)

    def errors(**changes: Any) -> Tensor:
        return setup.learner(copy.deepcopy(network), **changes).errors(batch).error.detach() * mask

    exact, mixed = errors(), errors(precision="bfloat16")
    double = setup.learner(copy.deepcopy(network).double())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "float", Tensor.double)
        data = double.transfer(dataclasses.replace(batch, core=batch.core.astype(np.float64)))
        true = double.method.errors(double, data).error.detach() * mask
    assert true.dtype == torch.float64
    assert 0 < (exact - true).norm() < 1e-5 * true.norm()
    assert 0 < (mixed - exact).norm() < 1e-2 * exact.norm()
