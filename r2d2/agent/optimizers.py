"""Optimizers: torch's Adam and AdamW, the RMSProp that DQN was trained with, and clipped gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from r2d2.config.learner import LearnerConfig


def make_optimizer(
    groups: Sequence[Sequence[Tensor]], config: LearnerConfig, *, capturable: bool = False
) -> torch.optim.Optimizer:
    """The optimizer of `config.optimizer` for groups of parameters; `capturable` is for CUDA graphs.

    With `adamw` each group is two `param_groups`, the matrices and kernels that decay and then the vectors that do
    not, as in BBF's code; either may be empty.
    """
    rate, epsilon = config.learning_rate, config.adam_epsilon
    parameters: list[dict[str, Any]] = [{"params": list(group)} for group in groups]
    if config.optimizer == "rmsprop":
        return RMSProp(parameters, lr=rate, epsilon=config.min_squared_gradient)
    if config.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, eps=epsilon, fused=True, capturable=capturable)
    parameters = [
        {"params": [p for p in group if (p.ndim > 1) == decays], "weight_decay": config.weight_decay * decays}
        for group in groups
        for decays in (True, False)
    ]
    return torch.optim.AdamW(parameters, lr=rate, eps=epsilon, fused=True, capturable=capturable)


def clip_gradients(groups: Sequence[Sequence[Tensor]], limit: float) -> Tensor:
    """Clip the gradients of each group to a norm of `limit`, which may be infinite; returns the norm [] of all
    of them before."""
    if math.isinf(limit):
        gradients = ([p.grad for p in group if p.grad is not None] for group in groups)
        norms = [nn.utils.get_total_norm(group) for group in gradients]
    else:
        norms = [nn.utils.clip_grad_norm_(group, limit) for group in groups]
    return norms[0] if len(norms) == 1 else torch.stack(norms).norm()


class RMSProp(torch.optim.Optimizer):
    """Each parameter moves by -lr g / sqrt(E[g^2] - E[g]^2 + epsilon).

    E are running means that keep `decay` of themselves at each step (Graves 2013, equations 38 to 41, without his
    momentum). In Mnih et al. (2015, extended data table 1) `decay` is both the gradient momentum and the squared
    gradient momentum, and `epsilon` the min squared gradient.

    Not torch.optim.RMSprop, which adds epsilon to the root instead, and makes parameters NaN where a gradient stays
    the same: there the difference is 0, and rounding may bring it below.

    `found_inf`, a tensor [] of 0 or 1 or None, leaves out the step where it is 1, as in torch's fused optimizers,
    without waiting for the device.
    """

    found_inf: Tensor | None = None  # of the class: a copy of a torch optimizer has no attributes of its own

    def __init__(self, parameters: Iterable[Any], *, lr: float, epsilon: float, decay: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "epsilon": epsilon, "decay": decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient; `closure` must be None."""
        if closure is not None:
            raise ValueError("closure must be None: the gradients are computed before the step")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, **{k: group[k] for k in ("lr", "epsilon", "decay")})

    def _move(self, parameter: Tensor, gradient: Tensor, *, lr: float, epsilon: float, decay: float) -> None:
        state = self.state[parameter]
        if not state:
            state["square"], state["mean"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        new: float | Tensor = 1.0 - decay
        if self.found_inf is not None:
            taken = self.found_inf == 0
            gradient, new = torch.where(taken, gradient, 0.0), torch.where(taken, new, 0.0)
        square, mean = state["square"], state["mean"]
        square.lerp_(gradient.square(), new)
        mean.lerp_(gradient, new)
        variance = square.addcmul(mean, mean, value=-1.0).clamp_min_(0.0)
        parameter.addcdiv_(gradient, variance.add_(epsilon).sqrt_(), value=-lr)
