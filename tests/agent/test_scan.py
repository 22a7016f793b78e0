"""Laws of the linear scan: both ways are the recurrence, and its gradient is the true one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from r2d2.agent.cores.scan import linear_scan, loop, parallel

B, N = 3, 4
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
CONSTANT = pytest.mark.parametrize("constant", [True, False])


def inputs(steps: int, dtype: torch.dtype, *, constant: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Decays, inputs and a state, as `linear_scan` takes them."""
    generator = torch.Generator().manual_seed(steps)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=dtype, generator=generator)

    decay = normal(N) if constant else normal(steps, B, N)
    return 0.5 * decay, normal(steps, B, N), normal(B, N)


@DTYPES
@CONSTANT
@pytest.mark.parametrize("steps", [1, 2, 3, 8, 13])
def test_loop_and_parallel_scan_are_the_recurrence(steps: int, dtype: torch.dtype, constant: bool) -> None:
    decay, driven, state = inputs(steps, dtype, constant=constant)
    h, expected = state, []
    for t in range(steps):
        h = (decay if constant else decay[t]) * h + driven[t]
        expected.append(h)
    for scan in (linear_scan, loop, parallel):
        torch.testing.assert_close(scan(decay, driven, state), torch.stack(expected), rtol=1e-12, atol=1e-12)


@DTYPES
@CONSTANT
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_gradient_is_that_of_finite_differences(steps: int, dtype: torch.dtype, constant: bool) -> None:
    given = inputs(steps, dtype, constant=constant)
    assert torch.autograd.gradcheck(linear_scan, tuple(part.requires_grad_() for part in given))


def test_nothing_that_was_given_is_changed() -> None:
    given = inputs(5, torch.float64, constant=False)
    before = [part.clone() for part in given]
    for scan in (linear_scan, loop, parallel):
        scan(*given)
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))
