"""Laws of the scale of values: small values are learned as without it, large ones as PopArt learns them."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from helpers import Setup
from test_learner import case
from torch import nn

from r2d2.agent.learner import Learner
from r2d2.agent.value_scale import RATE, ValueScale, last_layers
from r2d2.config import Config, check_config
from r2d2.config.presets import preset
from r2d2.types import Batch

SETUP = Setup(life_loss="roll", burn_in=3)
CPU = torch.device("cpu")
PLAIN: dict[str, Any] = {"rescaling": False, "max_grad_norm": 0.0, "adam_epsilon": 1e-12}


def with_rewards(batch: Batch, factor: float) -> Batch:
    rewards = batch.columns["reward"] * np.float32(factor)
    return dataclasses.replace(batch, columns={**batch.columns, "reward": rewards})


def parameters(learner: Learner) -> list[torch.Tensor]:
    return [p.detach().clone() for net in (learner.network, learner.target) for p in net.parameters()]


def fixed(learner: Learner, scale: float) -> None:
    """Let the scale be this, whatever the targets are."""
    own = learner.method.value_scale
    assert own is not None
    own.moments = torch.tensor([1.0, (scale * own.rms) ** 2])
    own.add = lambda *_: None  # type: ignore[method-assign]


def test_the_scale_equals_its_twin() -> None:
    """Of targets that grow and shrink again; the newest batch has the share `RATE`."""
    scale, seen = ValueScale(2.0), []
    for k in range(40):
        square = 5.0 + 1000.0 * (k % 7)
        scale.add(torch.tensor(square), torch.tensor(True))
        seen.append(square)
        shares = [RATE * (1 - RATE) ** j for j in range(len(seen))][::-1]
        mean = math.fsum(s * x for s, x in zip(shares, seen, strict=True)) / math.fsum(shares)
        assert float(scale.now(CPU)) == pytest.approx(max(1.0, math.sqrt(mean) / 2.0), rel=1e-5)
    before = scale.now(CPU)
    scale.add(torch.tensor(1e9), torch.tensor(False))
    scale.add(torch.tensor(math.inf), torch.tensor(True))
    assert scale.now(CPU) == before


@pytest.mark.parametrize("asynchronous", [False, True])
def test_small_values_are_learned_as_without_a_scale(asynchronous: bool) -> None:
    """Bit for bit."""
    scaled, batch = case(SETUP, asynchronous=asynchronous, rescaling=False, value_rms=1e6)
    plain, _ = case(SETUP, asynchronous=asynchronous, rescaling=False)
    for _ in range(3):
        found, expected = scaled.update(batch), plain.update(batch)
        assert found.metrics == expected.metrics | {"value_scale": 1.0}
        np.testing.assert_array_equal(found.priorities, expected.priorities)
    assert all(torch.equal(a, b) for a, b in zip(parameters(scaled), parameters(plain), strict=True))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("limit", [0.0, 0.01])
def test_updates_equal_those_of_popart(optimizer: str, limit: float) -> None:
    """PopArt's network has last layers that are divided by the scale, and learns rewards divided by it."""
    size, changes = 8.0, PLAIN | {"optimizer": optimizer, "max_grad_norm": limit, "weight_decay": 0.5}
    ours, batch = case(SETUP, **changes, value_rms=3.0)
    popart, _ = case(SETUP, **changes)
    popart.load_state_dict(copy.deepcopy(case(SETUP, **changes)[0].state_dict()))
    fixed(ours, size)
    with torch.no_grad():
        for net in (popart.network, popart.target):
            for parameter in last_layers(net):
                parameter.div_(size)
    start = parameters(ours)
    for _ in range(4):
        found, expected = ours.update(batch), popart.update(with_rewards(batch, 1.0 / size))
        assert found.metrics["loss"] == pytest.approx(expected.metrics["loss"], rel=1e-4)
        assert found.metrics["gradient_norm"] == pytest.approx(expected.metrics["gradient_norm"], rel=1e-4)
        assert found.metrics["td_error"] == pytest.approx(size * expected.metrics["td_error"], rel=1e-4)
        np.testing.assert_allclose(found.priorities, size * expected.priorities, rtol=1e-4)
    with torch.no_grad():
        for net in (popart.network, popart.target):
            for parameter in last_layers(net):
                parameter.mul_(size)
    after = parameters(ours)
    for a, b in zip(after, parameters(popart), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    assert not all(torch.equal(a, b) for a, b in zip(after, start, strict=True))


def test_the_scale_is_that_of_targets_and_returns_so_far() -> None:
    """The mean square is of the trained steps alone; the first update knows no values yet."""
    learner, batch = case(
        SETUP, rescaling=False, value_rms=0.01, reward_clip=0.5, gradient_accumulation_steps=2
    )
    errors = learner.errors(batch)
    target = (errors.q_taken - errors.error).detach().double().tolist()
    gamma, squares, larger = learner.config.discount, [], set()
    for b, (length, ahead) in enumerate(zip(batch.length, batch.lookahead, strict=True)):
        reward = batch.columns["reward"][b, SETUP.burn_in :].clip(-0.5, 0.5).astype(float)
        for t in range(length):
            held = math.fsum(gamma ** (k - t) * reward[k] for k in range(t, length + ahead - 1))
            squares.append(max(target[t][b] ** 2, held**2))
            larger.add(abs(held) > abs(target[t][b]))
    square = math.fsum(squares) / len(squares)
    assert larger == {True, False}
    assert learner.update(batch).metrics["value_scale"] == 1.0
    assert learner.update(batch).metrics["value_scale"] == pytest.approx(math.sqrt(square) / 0.01, rel=1e-4)


def test_parts_of_a_batch_give_the_same_update() -> None:
    whole, batch = case(SETUP, rescaling=False, value_rms=0.01)
    parts, _ = case(SETUP, rescaling=False, value_rms=0.01, gradient_accumulation_steps=2)
    for _ in range(3):
        one, two = whole.update(batch).metrics, parts.update(batch).metrics
        assert one == pytest.approx(two, rel=1e-4)
    for a, b in zip(parameters(whole), parameters(parts), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_update_that_is_not_finite_changes_nothing(asynchronous: bool) -> None:
    learner, batch = case(SETUP, asynchronous=asynchronous, rescaling=False, value_rms=0.01)
    learner.update(batch)
    before, moments = parameters(learner), copy.deepcopy(learner.method.state_dict())
    with pytest.raises(FloatingPointError):
        learner.update(with_rewards(batch, math.inf)).wait()
    assert all(torch.equal(a, b) for a, b in zip(parameters(learner), before, strict=True))
    assert torch.equal(learner.method.state_dict()["value_moments"], moments["value_moments"])


def test_the_scale_goes_on_from_a_state() -> None:
    learner, batch = case(SETUP, rescaling=False, value_rms=0.01)
    learner.update(batch)
    other, _ = case(SETUP, rescaling=False, value_rms=0.01)
    other.load_state_dict(copy.deepcopy(learner.state_dict()))
    assert learner.update(batch).metrics == other.update(batch).metrics
    without, _ = case(SETUP, rescaling=False)
    assert "value_moments" not in without.state_dict()
    other.load_state_dict(without.state_dict())  # of a run that did without
    assert not other.method.state_dict()["value_moments"].any()


def test_a_head_without_an_output_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a head whose last layer"):
        last_layers(nn.Sequential(nn.Linear(3, 2)))


REFUSED = {
    "memory": {"learner.rescaling": True},
    "memory+c51": {"learner.value_rms": 10.0},
    "memory+lap": {"learner.value_rms": 10.0},
    "memory+td-normalization": {"learner.value_rms": 10.0},
    "memory+trust-region": {"learner.value_rms": 10.0},
    "sac": {"learner.value_rms": 10.0},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_with_it_is_refused(name: str) -> None:
    config: Config = preset(name)
    check_config(config)
    for field, value in REFUSED[name].items():
        section, _, key = field.partition(".")
        changed = dataclasses.replace(getattr(config, section), **{key: value})
        config = dataclasses.replace(config, **{section: changed})
    with pytest.raises(ValueError, match=r"learner\.value_rms=10 does not go with"):
        check_config(config)
