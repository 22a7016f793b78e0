"""Which torso sees what, and in what units."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_cases import same
from helpers import ACTIONS, Setup, items_of, select

from r2d2.agent.inputs import Inputs, stack_rows
from r2d2.agent.networks import QNetwork, parameter_hash
from r2d2.agent.normalization import LARGEST, RunningStatistics
from r2d2.agent.torsos import torso_name, torso_of
from r2d2.agent.torsos.scaling import Scaling, scaled_frames
from r2d2.agent.torsos.spectral import SpectralConv2d, spectral_layers
from r2d2.config import NetworkConfig
from r2d2.types import OBSERVATION, ObservationSpec

STACK = 2
CONFIG = NetworkConfig(stack=STACK, features=6, core_width=4, hidden=5)


@pytest.mark.parametrize(
    ("shape", "kind", "asked", "expected"),
    [
        ((84, 84), "frames", "nature", "nature"),
        ((36, 200, 3), "frames", "nature", "nature"),
        ((35, 84), "frames", "nature", "small"),
        ((23, 23), "frames", "nature", "small"),
        ((23, 23), "frames", "small", "small"),
        ((84, 84), "frames", "mlp", "mlp"),
        ((84, 84), "frames", "grid", "grid"),
        ((7, 7, 3), "grid", "nature", "grid"),
        ((20, 30), "grid", "small", "grid"),
        ((2, 2), "grid", "small", "grid"),
        ((8, 8), "grid", "mlp", "mlp"),
        ((9,), "vector", "nature", "mlp"),
        ((84, 84), "frames", "impala", "impala"),
        ((1, 2, 3), "grid", "impala", "impala"),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_torso_fits_the_shape_by_itself(
    shape: tuple[int, ...], kind: str, asked: str, expected: str, dtype: str
) -> None:
    """And takes what rows become, with gradients."""
    spec = ObservationSpec(shape, dtype, kind)  # type: ignore[arg-type]
    config = NetworkConfig(stack=STACK, features=6, torso=asked)
    assert torso_name(spec, config) == expected
    rows = torch.from_numpy((np.random.default_rng(0).random((3, STACK, *shape)) * 2).astype(dtype))
    features = torso_of(spec, config)(stack_rows(rows, spec, STACK).flatten(0, 1))
    assert features.shape == (3, 6)
    features.sum().backward()


def test_every_cell_of_a_grid_is_seen() -> None:
    """Also in the corners and in odd sizes: no stride skips one."""
    torch.manual_seed(0)
    spec = ObservationSpec((5, 8, 2), "float32", "grid")
    grids = torch.rand(1, 2 * STACK, 5, 8, requires_grad=True)
    torso_of(spec, CONFIG)(grids).sum().backward()
    assert grids.grad is not None
    assert (grids.grad != 0).all()


@pytest.mark.parametrize(
    ("values", "dtype", "bounds", "expected"),
    [
        ([0, 51, 255], "uint8", None, [0, 0.2, 1]),
        ([0, 51, 255], "uint8", (0, 255), [0, 0.2, 1]),
        ([0, 3, 6], "uint8", (0, 6), [0, 0.5, 1]),
        ([2, 4], "uint8", (2, 6), [0, 0.5]),
        ([0, 0.25, 1], "float32", (0, 1), [0, 0.25, 1]),
        ([0, 51, 255], "float32", (0, 255), [0, 0.2, 1]),
        ([-1, 0, 1], "float32", (-1, 1), [0, 0.5, 1]),
        ([-7, 3], "float32", None, [-7, 3]),
    ],
)
def test_images_are_scaled_whatever_their_dtype(
    values: list[float], dtype: str, bounds: tuple[int, int] | None, expected: list[float]
) -> None:
    """By their bounds, and what was given stays as it is."""
    frames = torch.tensor(values).to(getattr(torch, dtype))
    before = frames.clone()
    low, high = ((), ()) if bounds is None else ((float(bounds[0]),), (float(bounds[1]),))
    spec = ObservationSpec((1, len(values)), dtype, "frames", 0, low, high)
    torch.testing.assert_close(scaled_frames(frames, spec), torch.tensor(expected, dtype=torch.float32))
    assert torch.equal(frames, before)


def test_numbers_of_a_vector_are_scaled_where_they_have_bounds() -> None:
    inf = float("inf")
    spec = ObservationSpec((3,), low=(-2.0, -inf, 0.0), high=(2.0, 1.0, 8.0))
    vector = torch.tensor([[0.0, 5.0, 4.0, 2.0, -5.0, 8.0]])
    torch.testing.assert_close(Scaling(spec, 2)(vector), torch.tensor([[0.5, 5.0, 0.5, 1.0, -5.0, 1.0]]))
    assert len(torso_of(spec, CONFIG).state_dict()) == 4  # nothing but weights and biases


def test_running_statistics_are_those_of_all_valid_steps() -> None:
    """In any division into batches: mean and variance of each channel, to 1e-5."""
    rng = np.random.default_rng(0)
    values = rng.normal([3, -50, 0], [1, 20, 0.1], (40, 6, 3)).astype(np.float32)
    valid = rng.random((40, 6)) < 0.7
    expected = values[valid]
    for size in (40, 7, 1):
        statistics = RunningStatistics(3)
        for start in range(0, 40, size):
            part = slice(start, start + size)
            statistics.update(torch.from_numpy(values[part]), torch.from_numpy(valid[part]))
        assert statistics.count == valid.sum()
        np.testing.assert_allclose(statistics.mean, expected.mean(0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(statistics.variance, expected.var(0), rtol=1e-4)
    normal = statistics(torch.from_numpy(expected))
    np.testing.assert_allclose(normal.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(normal.std(0), 1, atol=1e-2)
    assert statistics(torch.full((1, 3), 1e9)).tolist() == [[LARGEST] * 3]


def test_a_grid_has_statistics_by_channel_and_a_batch_of_padding_changes_none() -> None:
    values = torch.rand(2, 3, 2, 4, 5) * torch.tensor([10.0, 1.0]).view(2, 1, 1)
    statistics = RunningStatistics(2)
    statistics.update(values, torch.ones(2, 3, dtype=torch.bool))
    torch.testing.assert_close(statistics.mean, values.mean((0, 1, 3, 4)))
    torch.testing.assert_close(statistics.variance, values.var((0, 1, 3, 4), correction=0))
    before = statistics.mean.clone()
    statistics.update(values * 100, torch.zeros(2, 3, dtype=torch.bool))
    torch.testing.assert_close(statistics.mean, before)


def test_a_network_normalizes_vectors_and_grids_and_leaves_frames() -> None:
    """Before any bounds: those are another scale. The statistics are in its state."""
    observations = {
        "observation/frame": ObservationSpec((36, 36), "uint8", "frames"),
        "observation/grid": ObservationSpec((4, 4), "uint8", "grid", 0, (0.0,), (9.0,)),
        "observation/numbers": ObservationSpec((2,), low=(0.0, 0.0), high=(1e3, 1e3)),
    }
    network = QNetwork(
        observations, 3, NetworkConfig(stack=1, features=6, core_width=4, hidden=5, normalize=True)
    )
    names = [name for name in network.state_dict() if name.startswith("normalization.")]
    assert len(names) == 2 * 3
    inputs = network.inputs.zeros(5)
    inputs.observation["observation/numbers"][..., 1] = torch.arange(5.0) * 100  # type: ignore[index]
    assert network.normalization is not None
    network.normalization.update(inputs, torch.ones(1, 5, dtype=torch.bool))
    seen = network.normalization({name: value[0] for name, value in inputs.observation.items()})
    assert seen["observation/frame"].dtype == torch.uint8
    torch.testing.assert_close(seen["observation/numbers"][:, 1], (torch.arange(5.0) - 2) / 2**0.5)
    assert (seen["observation/grid"] == 0).all()


def test_columns_are_encoded_apart_and_joined() -> None:
    """A change in one column changes its features alone."""
    observations = {
        "observation/a": ObservationSpec((2,)),
        "observation/b": ObservationSpec((4, 4), "uint8", "grid"),
    }
    network = QNetwork(observations, 3, CONFIG)
    zeros = network.inputs.zeros(1)
    changed = Inputs(
        dict(zeros.observation) | {"observation/b": torch.full_like(zeros.observation["observation/b"], 9)},
        zeros.previous_action,
        zeros.previous_reward,
    )
    before, after = network.encode(zeros)[0, 0], network.encode(changed)[0, 0]
    assert torch.equal(before[:6], after[:6])
    assert not torch.equal(before[6:12], after[6:12])


def impala(**changes: Any) -> NetworkConfig:
    values: dict[str, Any] = {"stack": STACK, "features": 6, "core_width": 4, "hidden": 5, "torso": "impala"}
    return NetworkConfig(**(values | {"torso_width": 1, "torso_pool": 3, "spectral_norm": True} | changes))


@pytest.mark.parametrize(("features", "pool", "expected"), [(6, 3, 6), (0, 3, 64 * 9), (0, 0, 64 * 12)])
def test_impala_pools_what_its_stages_leave(features: int, pool: int, expected: int) -> None:
    """25 x 19 becomes 13 x 10, 7 x 5 and 4 x 3."""
    config = impala(features=features, torso_pool=pool, torso_width=2, torso_norm=True)
    torso = torso_of(ObservationSpec((25, 19), "uint8", "frames"), config)
    assert torso.features == expected
    assert torso(torch.zeros(2, STACK, 25, 19, dtype=torch.uint8)).shape == (2, expected)


@torch.no_grad()
def test_a_spectral_layer_divides_by_the_largest_singular_value() -> None:
    """Once the vectors have come to it, in any scale of the weights; a forward pass changes nothing."""
    torch.manual_seed(0)
    layer = SpectralConv2d(5, 7, 3, padding=1)
    layer.weight.mul_(40.0).add_(torch.randn_like(layer.weight))
    for _ in range(300):
        layer.iterate(torch.tensor(True))
    largest = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
    x = torch.randn(2, 5, 6, 4)
    before = copy.deepcopy(layer.state_dict())
    expected = torch.nn.functional.conv2d(x, layer.weight / largest, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)
    layer.iterate(torch.tensor(False))
    assert same(layer.state_dict(), before)


@pytest.mark.parametrize("shape", [(42, 42), (10, 10, 4)])
def test_an_actor_with_impala_agrees_with_its_learner(shape: tuple[int, ...]) -> None:
    """From its state alone, in steps and along sequences; every weight has a gradient."""
    spec = ObservationSpec(shape, "uint8", "grid" if len(shape) == 3 else "frames")
    learner = QNetwork({OBSERVATION: spec}, 3, impala())
    layers = spectral_layers(learner)
    assert len(layers) == 12
    actor = QNetwork({OBSERVATION: spec}, 3, impala())
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    for layer in layers:
        layer.iterate(torch.tensor(True))
    actor.load_state_dict(learner.state_dict())
    assert parameter_hash(actor) == parameter_hash(learner)
    inputs = learner.inputs.zeros(2)
    seen = {OBSERVATION: torch.randint(256, (5, 2, *inputs.observation[OBSERVATION].shape[2:])).byte()}
    inputs = Inputs(seen, torch.ones(5, 2, dtype=torch.int32), torch.zeros(5, 2))
    whole, _ = learner.unroll(learner.encode(inputs), torch.zeros(2, learner.core_size))
    state = torch.zeros(2, actor.core_size)
    for t in range(5):
        q, state = actor.step(inputs[t : t + 1], state)
        torch.testing.assert_close(q, learner.values(whole[t]), rtol=1e-4, atol=1e-5)
    assert parameter_hash(actor) == parameter_hash(learner)
    learner.values(whole).square().sum().backward()
    assert all(parameter.grad is not None for parameter in learner.torso.parameters())


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_vectors_of_spectral_layers_follow_the_weights(share: float) -> None:
    """One step after each update, also the target's; not after a gradient that is not finite. They are saved."""
    setup = Setup(shape=(12, 12), dtype="uint8", burn_in=2, unroll=3, n_step=1, period=2)
    network = QNetwork(setup.observations, ACTIONS, impala(core_width=5))
    learner = setup.learner(network, asynchronous=True, target_period=1, target_averaging=share)
    _, batch = items_of(setup, copy.deepcopy(network), steps=40)
    batch = select(batch, np.arange(3))
    first = copy.deepcopy(spectral_layers(learner.target))
    learner.update(batch)
    for layer, old in zip(spectral_layers(learner.target), first, strict=True):
        assert not torch.equal(layer.left, old.left)
    for net in (learner.network, learner.target):
        for layer in spectral_layers(net):
            twin = copy.deepcopy(layer)
            twin.iterate(torch.tensor(True))
            assert (twin.left - layer.left).norm() < 0.1  # near the end already
    before = copy.deepcopy(learner.state_dict())
    assert any(name.endswith(".left") for name in before["target"])
    assert share < 1 or same(before["network"], before["target"])
    reward = np.full_like(batch.columns["reward"], np.inf)
    with pytest.raises(FloatingPointError):
        learner.update(dataclasses.replace(batch, columns=dict(batch.columns) | {"reward": reward})).wait()
    assert same(learner.state_dict(), before)
    resumed = setup.learner(
        QNetwork(setup.observations, ACTIONS, impala(core_width=5)),
        asynchronous=True,
        target_period=1,
        target_averaging=share,
    )
    resumed.load_state_dict(before)
    learner.update(batch)
    resumed.update(batch)
    vectors = [layer.left for layer in spectral_layers(resumed.network)]
    assert not all(
        map(torch.equal, vectors, [before["network"][n] for n in before["network"] if n.endswith(".left")])
    )
    assert same(resumed.state_dict(), learner.state_dict())
