"""Laws of the optimizers: the papers' formulas, what decays, and of RMSProp that no gradient makes it NaN."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from r2d2.agent.optimizers import RMSProp, make_optimizer
from r2d2.config.learner import LearnerConfig


def moved(optimizer: RMSProp, parameter: Tensor, gradient: Tensor) -> Tensor:
    parameter.grad = gradient.clone()
    optimizer.step()
    return parameter.detach().clone()


def test_it_is_the_formula_step_by_step() -> None:
    """A scalar written out in float64."""
    parameter = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = RMSProp([parameter], lr=0.01, epsilon=1e-3, decay=0.9)
    value = square = mean = 0.0
    for gradient in np.random.default_rng(0).normal(size=50):
        square = 0.9 * square + 0.1 * gradient**2
        mean = 0.9 * mean + 0.1 * gradient
        value -= 0.01 * gradient / math.sqrt(square - mean**2 + 1e-3)
        assert moved(optimizer, parameter, torch.tensor([gradient])).item() == pytest.approx(value, rel=1e-9)


def test_a_gradient_that_stays_the_same_makes_no_nan() -> None:
    """Its variance is 0, so the step is lr g / sqrt(epsilon)."""
    gradient = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    parameter = torch.zeros(20_000, requires_grad=True)
    optimizer = RMSProp([parameter], lr=1e-3, epsilon=1e-2)
    for _ in range(500):
        before, after = parameter.detach().clone(), moved(optimizer, parameter, gradient)
    torch.testing.assert_close(after - before, -1e-3 * gradient / 0.1, rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_step_that_is_left_out_changes_nothing(bad: float) -> None:
    """Neither the parameter nor what is remembered; the step after it is as if it had not been."""
    parameter = torch.ones(3, requires_grad=True)
    optimizer = RMSProp([parameter], lr=0.1, epsilon=0.01)
    optimizer.found_inf = torch.tensor(0.0)
    moved(optimizer, parameter, torch.tensor([1.0, -2.0, 0.5]))
    before = copy.deepcopy((parameter.detach(), optimizer.state_dict()["state"]))
    optimizer.found_inf = torch.tensor(1.0)
    moved(optimizer, parameter, torch.tensor([1.0, bad, 1.0]))
    torch.testing.assert_close((parameter.detach(), optimizer.state_dict()["state"]), before, rtol=0, atol=0)


def test_its_state_goes_through_a_state_dict() -> None:
    parameters = [torch.ones(2, requires_grad=True) for _ in range(2)]
    first, second = (RMSProp([parameter], lr=0.1, epsilon=0.01) for parameter in parameters)
    moved(first, parameters[0], torch.tensor([1.0, 2.0]))
    with torch.no_grad():
        parameters[1].copy_(parameters[0])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    ends = [
        moved(optimizer, p, torch.tensor([0.5, 1.0]))
        for optimizer, p in zip((first, second), parameters, strict=True)
    ]
    assert torch.equal(*ends)


def test_a_parameter_without_a_gradient_stays() -> None:
    used, unused = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    optimizer = RMSProp([used, unused], lr=0.1, epsilon=0.01)
    moved(optimizer, used, torch.ones(1))
    assert unused.item() == 1.0
    with pytest.raises(ValueError, match="closure must be None"):
        optimizer.step(lambda: 0.0)


def test_adamw_is_the_formula_and_decays_matrices_alone() -> None:
    """In float64 (Loshchilov & Hutter 2019, algorithm 2), for two groups; a step left out decays nothing."""
    config = LearnerConfig(optimizer="adamw", learning_rate=0.02, adam_epsilon=1e-3, weight_decay=0.3)
    shapes = [(2, 3), (3,), (1,), (4, 2, 3, 3)]
    torch.manual_seed(0)
    parameters = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    value = [parameter.detach().clone() for parameter in parameters]
    mean, square = ([torch.zeros_like(x) for x in value] for _ in range(2))
    optimizer = make_optimizer([parameters[:2], parameters[2:]], config)
    for step in range(1, 11):
        for i, parameter in enumerate(parameters):
            gradient = torch.randn_like(parameter)
            parameter.grad = gradient.clone()
            mean[i] = 0.9 * mean[i] + 0.1 * gradient
            square[i] = 0.999 * square[i] + 0.001 * gradient**2
            root = (square[i] / (1 - 0.999**step)).sqrt() + 1e-3
            decay = 0.3 * value[i] if gradient.ndim > 1 else 0.0
            value[i] = value[i] - 0.02 * (mean[i] / (1 - 0.9**step) / root + decay)
        optimizer.found_inf = torch.tensor(0.0)  # type: ignore[attr-defined]
        optimizer.step()
    for parameter, expected in zip(parameters, value, strict=True):
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-9, atol=1e-12)
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer.found_inf = torch.tensor(1.0)  # type: ignore[attr-defined]
    optimizer.step()
    assert all(map(torch.equal, before, parameters))
