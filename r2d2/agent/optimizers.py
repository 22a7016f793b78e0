"""Optimizers: torch's Adam and AdamW, the RMSProp that DQN was trained with, and clipped gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from r2d2.config.learner import LearnerConfig


def make_optimizer(
    groups: Sequence[Sequence[Tensor]],
    config: LearnerConfig,
    *,
    cores: Iterable[Tensor] = (),
    capturable: bool = False,
) -> torch.optim.Optimizer:
    """The optimizer of `config.optimizer` for groups of parameters; `capturable` is for CUDA graphs.

    Each group is one of the `param_groups`, or several, some of which may be empty: with a `core_rate` the `cores`
    are apart, and with `adamw` the matrices and kernels, which decay, from the vectors, which do not, as in BBF's
    code. What is said of a group beside its parameters stays in the optimizer's state.
    """
    rate, epsilon = config.learning_rate, config.adam_epsilon
    parts: list[dict[str, Any]] = [{"params": list(group)} for group in groups]
    if config.core_rate != 1.0:
        apart = {id(parameter) for parameter in cores}
        parts = [
            {
                "params": [p for p in part["params"] if (id(p) in apart) == of_core],
                "rate": share,
                "lr": rate * share,
            }
            for part in parts
            for of_core, share in ((False, 1.0), (True, config.core_rate))
        ]
    if config.optimizer == "rmsprop":
        return RMSProp(parts, lr=rate, epsilon=config.min_squared_gradient)
    if config.optimizer == "adam":
        return torch.optim.Adam(parts, lr=rate, eps=epsilon, fused=True, capturable=capturable)
    parts = [
        part
        | {
            "params": [p for p in part["params"] if (p.ndim > 1) == decays],
            "weight_decay": config.weight_decay * decays,
        }
        for part in parts
        for decays in (True, False)
    ]
    return torch.optim.AdamW(parts, lr=rate, eps=epsilon, fused=True, capturable=capturable)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Take steps of this size from now on, and a share of it where a group has one."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("rate", 1.0)


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
