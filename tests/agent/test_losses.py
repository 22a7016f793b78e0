"""The law of the formulas: each one against a slow twin in Python floats, written from the paper."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from r2d2.agent.losses import (
    EPSILON,
    delta_q,
    huber,
    lap_priority,
    length_mask,
    n_step_targets,
    rescale,
    sequence_priority,
    squared,
    unrescale,
)

RANGE = torch.cat([torch.logspace(-3, 6, 20_001, dtype=torch.float64), torch.arange(1.0, 2000).double()])


def h(x: float, epsilon: float = EPSILON) -> float:
    """h(x) = sign(x) (sqrt(|x| + 1) - 1) + epsilon x, as printed."""
    return math.copysign(math.sqrt(abs(x) + 1) - 1, x) + epsilon * x


def h_inverse(y: float, epsilon: float = EPSILON) -> float:
    """As printed by Pohlen et al. (2018), proposition A.2."""
    root = math.sqrt(1 + 4 * epsilon * (abs(y) + 1 + epsilon))
    return math.copysign(((root - 1) / (2 * epsilon)) ** 2 - 1, y)


def textbook_inverse(y: Tensor, epsilon: float = EPSILON) -> Tensor:
    """The same on tensors, as nearly all public code has it."""
    root = (1 + 4 * epsilon * (y.abs() + 1 + epsilon)).sqrt()
    return y.sign() * (((root - 1) / (2 * epsilon)).square() - 1)


def relative_error(got: Tensor, exact: Tensor) -> float:
    return float(((got.double() - exact) / exact).abs().max())


def newton_inverse(y: Tensor) -> Tensor:
    """In float64, with Newton's method on h."""
    x = textbook_inverse(y)
    for _ in range(20):
        slope = 0.5 / (x.abs() + 1).sqrt() + EPSILON
        x = x - (x.sign() * (x.abs() / ((x.abs() + 1).sqrt() + 1)) + EPSILON * x - y) / slope
    return x


@pytest.mark.parametrize("sign", [1, -1])
def test_rescaling_is_accurate_in_float32(sign: int) -> None:
    """h and its inverse: relative error below 4e-7 from 1e-3 to 1e6, where the textbook's forms lose 1e-5 and
    more than 1 %. The truth is float64: h as printed, and Newton's method for the inverse."""
    x = (sign * RANGE).float()
    exact = torch.tensor([h(value) for value in x.tolist()], dtype=torch.float64)
    assert relative_error(rescale(x), exact) < 4e-7
    assert relative_error(x.sign() * ((x.abs() + 1).sqrt() - 1) + EPSILON * x, exact) > 1e-5
    y = exact.float()
    wanted = newton_inverse(y.double())
    assert relative_error(unrescale(y), wanted) < 4e-7
    assert relative_error(textbook_inverse(y), wanted) > 1e-2


def test_rescaling_roundtrip() -> None:
    """Exact in float64 to its last digits, both ways, for tiny, huge and negative numbers, and 0."""
    sizes = torch.cat([torch.logspace(-300, 12, 3000, dtype=torch.float64), torch.zeros(1)])
    for x in (sizes, -sizes):
        torch.testing.assert_close(unrescale(rescale(x)), x, rtol=2e-15, atol=0)
        torch.testing.assert_close(rescale(unrescale(x)), x, rtol=2e-15, atol=0)


def test_tiny_values_survive_in_float32() -> None:
    """Near 0, h(x) is (1/2 + epsilon) x: nothing is rounded away (the textbook gives epsilon x, or 0)."""
    x = torch.tensor([1e-30, 1e-12, -1e-8])
    torch.testing.assert_close(rescale(x), 0.501 * x, rtol=1e-6, atol=0)
    torch.testing.assert_close(unrescale(0.501 * x), x, rtol=1e-6, atol=0)


@pytest.mark.parametrize("epsilon", [1e-3, 1e-2, 0.5])
def test_other_epsilons(epsilon: float) -> None:
    for x in (-7.5, -0.2, 0.0, 0.3, 12.0):
        value = torch.tensor(x, dtype=torch.float64)
        assert rescale(value, epsilon).item() == pytest.approx(h(x, epsilon), rel=1e-12)
        assert unrescale(value, epsilon).item() == pytest.approx(h_inverse(x, epsilon), rel=1e-9)


# -- n-step targets ----------------------------------------------------------------------------------------


def slow_target(
    reward: list[float], discount: list[float], value: list[float], t: int, end: int, n: int
) -> float:
    """G_t by hand: rewards until n steps, the item's end or a termination, then the bootstrap."""
    total, keep, at = 0.0, 1.0, t
    while at < end and at < t + n:
        total += keep * reward[at]
        keep *= discount[at]
        at += 1
    return total + keep * value[at]


@settings(max_examples=80, deadline=None)
@given(steps=st.integers(1, 9), n=st.integers(1, 6), items=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
def test_n_step_targets_by_hand(steps: int, n: int, items: int, seed: int) -> None:
    """Every valid step of every item, with terminations anywhere and ends anywhere."""
    rng = np.random.default_rng(seed)
    rows = steps + n
    reward, value = rng.normal(size=(2, rows, items))
    discount = np.where(rng.random((rows, items)) < 0.2, 0.0, 0.9)
    end = rng.integers(1, rows, size=items)
    got = n_step_targets(
        torch.from_numpy(reward),
        torch.from_numpy(discount),
        torch.from_numpy(value),
        torch.from_numpy(end),
        n,
    ).numpy()
    assert got.shape == (steps, items)
    for b in range(items):
        r, d, v = (array[:, b].tolist() for array in (reward, discount, value))
        for t in range(min(steps, int(end[b]))):
            wanted = slow_target(r, d, v, t, int(end[b]), n)
            assert got[t, b] == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def one_item(end: int, terminated: int | None, n: int = 3) -> list[float]:
    """Rewards 1, 10, 100, ... with gamma 0.5 and values 1000 (t + 1), 6 rows."""
    rows = 6
    reward = 10.0 ** torch.arange(rows).double()[:, None]
    discount = torch.full((rows, 1), 0.5, dtype=torch.float64)
    if terminated is not None:
        discount[terminated] = 0.0
    value = 1000.0 * (torch.arange(rows).double()[:, None] + 1)
    return n_step_targets(reward, discount, value, torch.tensor([end]), n).flatten().tolist()


def test_targets_by_hand() -> None:
    """A full window; one that a truncated end cuts short, with gamma^m; and a termination in its middle."""
    assert one_item(5, None) == [1 + 5 + 25 + 500.0, 10 + 50 + 250 + 625.0, 100 + 500 + 2500 + 750.0]
    assert one_item(2, None)[:2] == [1 + 5 + 750.0, 10 + 1500.0]
    assert one_item(2, 1)[:2] == [1 + 5.0, 10.0]
    assert one_item(5, 1) == [1 + 5.0, 10.0, 100 + 500 + 2500 + 750.0]


def test_what_lies_past_the_end_does_not_count() -> None:
    """Rewards, discounts and values after `end` may be anything finite."""
    rng = np.random.default_rng(0)
    reward, value = torch.from_numpy(rng.normal(size=(2, 9, 1)))
    discount = torch.full((9, 1), 0.9, dtype=torch.float64)
    end = torch.tensor([4])
    before = n_step_targets(reward, discount, value, end, 3)
    reward[4:], discount[4:], value[5:] = 1e30, -7.0, 1e30
    torch.testing.assert_close(
        n_step_targets(reward, discount, value, end, 3)[:4], before[:4], rtol=0, atol=0
    )


# -- priorities and masks ----------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(
    errors=st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=9),
    padding=st.lists(st.floats(-1e6, 1e6, width=32), max_size=4),
    eta=st.floats(0, 1),
)
def test_sequence_priority_by_hand(errors: list[float], padding: list[float], eta: float) -> None:
    """eta max + (1 - eta) mean of absolute errors; padding counts neither in the max nor in the mean."""
    column = torch.tensor(errors + padding, dtype=torch.float64)[:, None]
    mask = torch.tensor([1.0] * len(errors) + [0.0] * len(padding), dtype=torch.float64)[:, None]
    sizes = [abs(error) for error in errors]
    wanted = eta * max(sizes) + (1 - eta) * sum(sizes) / len(sizes)
    assert sequence_priority(column, mask, eta).item() == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_length_mask() -> None:
    mask = length_mask(torch.tensor([1, 3, 4]), 4)
    assert mask.T.tolist() == [[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]


def test_the_expected_gradient_under_lap_is_that_of_a_uniform_loss() -> None:
    """Fujimoto et al. (2020): with P ~ max(|d|, 1)^alpha and Huber's loss every step's expected gradient is d up
    to 1 and sign(d) |d|^alpha beyond, over one constant for all; P from |d| alone would not do."""
    alpha = 0.6
    error = torch.tensor([-8.0, -1.5, -0.3, 0.01, 0.9, 2.0, 30.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(huber(error).sum(), error)
    steps = error.detach().unsqueeze(0)
    priority = lap_priority(steps, torch.ones_like(steps), 0.9)  # one-step items [1, B]
    expected = priority**alpha * gradient
    size = error.detach().abs()
    torch.testing.assert_close(expected, error.detach().sign() * torch.where(size <= 1, size, size**alpha))


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.floats(0, 1), st.integers(0, 3))
def test_lap_priority_equals_the_twin_and_padding_is_not_in_it(
    errors: list[float], eta: float, padding: int
) -> None:
    error = torch.tensor([*errors, *[99.0] * padding], dtype=torch.float64).unsqueeze(1)
    mask = torch.tensor([1.0] * len(errors) + [0.0] * padding, dtype=torch.float64).unsqueeze(1)
    sizes = [max(abs(x), 1.0) for x in errors]
    expected = eta * max(sizes) + (1 - eta) * sum(sizes) / len(sizes)
    assert lap_priority(error, mask, eta).item() == pytest.approx(expected)
    assert lap_priority(error, mask, eta).item() >= 1 - 1e-12


def test_huber_is_torchs_and_squared_is_half_the_square() -> None:
    error = torch.linspace(-4, 4, 81, dtype=torch.float64)
    torch.testing.assert_close(
        huber(error), torch.nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none")
    )
    torch.testing.assert_close(
        squared(error), 0.5 * torch.nn.functional.mse_loss(error, 0 * error, reduction="none")
    )


def test_delta_q_does_not_depend_on_the_scale_of_q_and_is_relative_to_the_state_used() -> None:
    used, true = torch.tensor([[1.0, -4.0], [-3.0, -2.0]]), torch.tensor([[4.0, 0.0], [-3.0, -2.0]])
    torch.testing.assert_close(delta_q(used, true), torch.tensor([5.0, 0.0]))
    torch.testing.assert_close(delta_q(7 * used, 7 * true), delta_q(used, true))
    torch.testing.assert_close(delta_q(true, used), torch.tensor([1.25, 0.0]))
