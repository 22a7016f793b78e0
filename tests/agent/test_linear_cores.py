"""Laws of gradients and layers of every core, and of the linear ones: each is its equation."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from r2d2.agent.cores import core_of, state_size
from r2d2.config.network import NetworkConfig
from r2d2.config.parts import CORES

T, B, F = 9, 3, 5
EVERY = pytest.mark.parametrize("name", CORES)
LAYERS = pytest.mark.parametrize("layers", [1, 3])


def core(name: str, layers: int = 1, **changes: Any) -> tuple[Any, NetworkConfig]:
    torch.manual_seed(0)
    config = NetworkConfig(core=name, core_width=4, core_layers=layers, **changes)
    return core_of(F, config), config


def inputs(core: Any, *, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Inputs and a state, neither of them zero."""
    generator = torch.Generator().manual_seed(1)
    state = torch.randn(B, core.state_size, generator=generator, dtype=dtype).tanh()
    return torch.randn(T, B, F, generator=generator, dtype=dtype), state


@EVERY
@LAYERS
@torch.no_grad()
def test_a_sequence_at_once_in_two_parts_and_step_by_step_is_the_same(name: str, layers: int) -> None:
    made, config = core(name, layers)
    x, state = inputs(made)
    whole, end = made.unroll(x, state)
    assert whole.shape == (T, B, made.width)
    assert end.shape == (B, made.state_size) == (B, state_size(config))
    for cuts in ([4], list(range(1, T))):
        parts, at = [], state
        for part in x.tensor_split(cuts):
            outputs, at = made.unroll(part, at)
            parts.append(outputs)
        torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(at, end, rtol=1e-5, atol=1e-5)


@EVERY
@LAYERS
def test_the_gradient_is_that_of_finite_differences(name: str, layers: int) -> None:
    made, _ = core(name, layers)
    made = made.double() if hasattr(made, "double") else made
    x, state = (part.requires_grad_() for part in inputs(made, dtype=torch.float64))
    given = (x, state, *made.parameters())
    assert torch.autograd.gradcheck(lambda x, state, *_: made.unroll(x, state), given, fast_mode=True)


@torch.no_grad()
def test_lru_is_its_equation_and_stays_stable_whatever_is_learned() -> None:
    made, _ = core("lru")
    x, state = inputs(made)
    decay = torch.exp(torch.complex(-made.nu.exp(), made.theta.exp()))
    read = torch.complex(made.c.weight[:, ::2], -made.c.weight[:, 1::2])
    write = torch.complex(made.b.weight[::2], made.b.weight[1::2])
    h = torch.complex(state[:, ::2], state[:, 1::2])
    outputs, _ = made.unroll(x, state)
    for t in range(T):
        h = decay * h + made.gamma.exp() * (x[t].to(write.dtype) @ write.T)
        y = (h @ read.T).real + made.c.bias + made.d(x[t])
        y = (y - y.mean(-1, keepdim=True)) / (y.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
        torch.testing.assert_close(outputs[t], y, rtol=1e-4, atol=1e-4)
    made.nu.fill_(-50.0)
    assert torch.isfinite(made.unroll(x.repeat(200, 1, 1), state)[0]).all()


@torch.no_grad()
def test_mingru_mixes_its_state_with_what_it_sees() -> None:
    made, _ = core("mingru", forget_bias=3.0)
    x, state = inputs(made)
    outputs, end = made.unroll(x, state)
    h = state
    for t in range(T):
        z = torch.sigmoid(made.gate(x[t]))
        h = (1 - z) * h + z * made.value(x[t])
        torch.testing.assert_close(outputs[t], h + made.direct(x[t]), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(end, h, rtol=1e-5, atol=1e-5)
    plain, _ = core("mingru")
    torch.testing.assert_close(made.gate.bias, plain.gate.bias - 3.0)


@torch.no_grad()
def test_ffm_decays_at_its_rates_and_turns_at_its_frequencies() -> None:
    """A state without inputs: each number keeps exp(-|alpha|) of its size a step and turns by omega."""
    made, _ = core("ffm")
    made.value.weight.zero_()
    made.value.bias.zero_()
    x, state = inputs(made)
    _, end = made.unroll(x[:7], state)
    before, after = (torch.view_as_complex(s.view(B, 4, 4, 2).contiguous()) for s in (state, end))
    factor = torch.polar((-7 * made.alpha.abs()).exp().expand(4, 4), (7 * made.omega).expand(4, 4))
    torch.testing.assert_close(after, before * factor, rtol=1e-4, atol=1e-4)
    assert made.alpha.abs().max() <= math.log(2)
