"""The formulas of policies equal scalar references in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from r2d2.agent.policies import (
    EDGE,
    action_log_probability,
    gaussian_log_probability,
    smoothed,
    soft_value,
    squashed,
    temperature_loss,
)

TOLERANCE = 1e-5


def slow_log_probability(mean: list[float], log_deviation: list[float], noise: list[float]) -> float:
    """By the definition: the Gaussian density over the derivative of tanh, in Python floats."""
    total = 0.0
    for m, s, e in zip(mean, log_deviation, noise, strict=True):
        u = m + math.exp(s) * e
        density = math.exp(-0.5 * e * e) / (math.exp(s) * math.sqrt(2 * math.pi))
        total += math.log(density) - math.log(1.0 / math.cosh(u) ** 2)
    return total


def test_log_probability_equals_the_definition_and_torch() -> None:
    rng = np.random.default_rng(0)
    mean, log_deviation, noise = rng.normal(size=(3, 200, 4)).astype(np.float32)
    tensors = [torch.from_numpy(x) for x in (mean, log_deviation, noise)]
    found = gaussian_log_probability(*tensors)
    wanted = [
        slow_log_probability(*(x.tolist() for x in row))
        for row in zip(mean, log_deviation, noise, strict=True)
    ]
    np.testing.assert_allclose(found, wanted, rtol=TOLERANCE, atol=TOLERANCE)
    gaussian = torch.distributions.Normal(tensors[0].double(), tensors[1].double().exp())
    theirs = torch.distributions.TransformedDistribution(
        gaussian, [torch.distributions.TanhTransform(cache_size=1)]
    )
    action = (tensors[0].double() + tensors[1].double().exp() * tensors[2]).tanh()
    moderate = (action.abs() < 0.999).all(-1)
    np.testing.assert_allclose(
        found[moderate], theirs.log_prob(action).sum(-1)[moderate], rtol=1e-4, atol=1e-4
    )


def test_log_probability_is_a_density() -> None:
    """It integrates to 1 over the actions."""
    action = torch.linspace(-1 + EDGE, 1 - EDGE, 200_001, dtype=torch.float64)[:, None]
    density = action_log_probability(
        torch.tensor([0.4]).double(), torch.tensor([-0.3]).double(), action
    ).exp()
    assert float(torch.trapezoid(density, action[:, 0])) == pytest.approx(1.0, abs=1e-4)


def test_the_log_probability_of_an_action_is_that_of_the_noise_that_made_it() -> None:
    rng = np.random.default_rng(1)
    mean, log_deviation, noise = (
        torch.from_numpy(x) for x in 0.5 * rng.normal(size=(3, 500, 3)).astype(np.float32)
    )
    action = squashed(mean, log_deviation, noise)
    assert (action.abs() < 1).all()
    np.testing.assert_allclose(
        action_log_probability(mean, log_deviation, action),
        gaussian_log_probability(mean, log_deviation, noise),
        rtol=2e-5,
        atol=2e-5,
    )


def test_far_from_zero_nothing_is_infinite() -> None:
    mean = torch.tensor([[-60.0], [60.0]], requires_grad=True)
    found = gaussian_log_probability(mean, torch.zeros(2, 1), torch.ones(2, 1))
    found.sum().backward()
    assert torch.isfinite(found).all()
    assert mean.grad is not None
    assert torch.isfinite(mean.grad).all()
    assert torch.isfinite(action_log_probability(torch.zeros(1), torch.zeros(1), torch.ones(1)))
    assert (squashed(mean, torch.zeros(2, 1), torch.ones(2, 1)).abs() < 1).all()


def test_smoothing_noise_is_clipped_and_so_is_the_action() -> None:
    rng = np.random.default_rng(2)
    action, noise = rng.uniform(-1, 1, 300).astype(np.float32), rng.normal(size=300).astype(np.float32)
    wanted = [
        max(-1.0, min(1.0, a + max(-0.5, min(0.5, 0.4 * e))))
        for a, e in zip(action.tolist(), noise.tolist(), strict=True)
    ]
    found = smoothed(torch.from_numpy(action), torch.from_numpy(noise), 0.4, 0.5)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_soft_value_takes_the_lower_critic_and_pays_for_certainty() -> None:
    q = torch.tensor([[3.0, -1.0], [2.0, 5.0]])
    found = soft_value(q, torch.tensor([1.0, -2.0]), torch.tensor([0.25]))
    assert found.tolist() == [2.0 - 0.25, -1.0 + 0.5]


def test_the_temperature_rises_while_the_entropy_is_below_its_target() -> None:
    log_temperature = torch.zeros(1, requires_grad=True)
    for log_probability, sign in ((3.0, -1.0), (-3.0, 1.0)):  # entropies of -3 and 3 against a target of 0
        (gradient,) = torch.autograd.grad(
            temperature_loss(log_temperature, torch.tensor([log_probability]), 0.0).sum(), log_temperature
        )
        assert float(gradient) * sign > 0  # the optimizer goes against it
