"""The linear recurrence h[t] = decay[t] * h[t - 1] + inputs[t] over whole sequences, with its gradient.

Two ways with the same result: a loop of one fused multiply-add a step, in place, and a parallel scan of log2(T)
rounds over all steps (Hillis & Steele 1986). On a CPU the loop is the faster one at every length that was
measured, 30 to 1,000 steps (docs/memory.md): it touches each number once. A GPU is limited by launches, of which
the scan makes few. Either way autograd sees one operation, and the backward pass is one more recurrence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def linear_scan(decay: Tensor, inputs: Tensor, state: Tensor) -> Tensor:
    """All h [T, B, N] from inputs [T, B, N], the h [B, N] before them, and decays [T, B, N], or [N] at all times.

    Real or complex, the same for all three.

    >>> linear_scan(torch.tensor([0.5]), torch.ones(3, 1, 1), torch.tensor([[4.0]])).flatten()
    tensor([3.0000, 2.5000, 2.2500])
    """
    if len(inputs) == 1:
        return torch.addcmul(inputs, decay, state)
    out: Tensor = _LinearScan.apply(decay, inputs, state)
    return out


class _LinearScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, decay: Tensor, inputs: Tensor, state: Tensor) -> Tensor:
        recur = loop if inputs.device.type == "cpu" else parallel
        out = recur(decay, inputs, state)
        ctx.save_for_backward(decay, state, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """With g[t] = grad[t] + conj(decay[t + 1]) g[t + 1], the same recurrence from the end."""
        decay, state, out = ctx.saved_tensors
        back = decay.conj().resolve_conj()
        if grad.device.type == "cpu":
            g = loop_back(back, grad)
        else:  # the last step has no successor: its placeholder meets a state of zero
            reverse = back if back.ndim == 1 else back.roll(-1, 0).flip(0)
            g = parallel(reverse, grad.flip(0), torch.zeros_like(state)).flip(0)
        before = torch.cat([state.unsqueeze(0), out[:-1]]).conj()
        return (g * before).sum_to_size(decay.shape), g, g[0] * (back if back.ndim == 1 else back[0])


def loop(decay: Tensor, inputs: Tensor, state: Tensor) -> Tensor:
    """`linear_scan` one step after the other, without its gradient."""
    out = inputs.clone(memory_format=torch.contiguous_format)
    h = state
    for row, factor in zip(out.unbind(0), _of_each_step(decay, len(out)), strict=True):
        h = row.addcmul_(factor, h)
    return out


def loop_back(decay: Tensor, grad: Tensor) -> Tensor:
    """The g of `backward` from the last step to the first; `decay` is conjugate already."""
    out = grad.clone(memory_format=torch.contiguous_format)
    rows, factors = out.unbind(0), _of_each_step(decay, len(out))
    for t in range(len(out) - 2, -1, -1):
        rows[t].addcmul_(factors[t + 1], rows[t + 1])
    return out


def _of_each_step(decay: Tensor, steps: int) -> Sequence[Tensor]:
    return [decay] * steps if decay.ndim == 1 else decay.unbind(0)


def parallel(decay: Tensor, inputs: Tensor, state: Tensor) -> Tensor:
    """`linear_scan` in rounds: after the one with `shift`, row t has accumulated the 2 * shift rows up to t."""
    constant = decay.ndim == 1
    first = torch.addcmul(inputs[:1], decay if constant else decay[:1], state)
    out, shift = torch.cat([first, inputs[1:]]), 1
    while shift < len(out):
        factor = decay if constant else decay[shift:]
        out = torch.cat([out[:shift], torch.addcmul(out[shift:], factor, out[:-shift])])
        decay = decay * decay if constant else torch.cat([decay[:shift], decay[shift:] * decay[:-shift]])
        shift *= 2
    return out
