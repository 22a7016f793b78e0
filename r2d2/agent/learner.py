"""Learner: one R2D2 update from one batch.

On a GPU nothing in an update waits for the device: what it found is read from the `Update` later. The names
given to `record_function` are the stages of `r2d2 bench`.
"""

from __future__ import annotations

import copy
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.profiler import record_function

from r2d2.agent.cuda_graph import CudaGraph
from r2d2.agent.device_batch import DeviceBatch, Transfer
from r2d2.agent.losses import (
    LOSSES,
    PRIORITIES,
    LossName,
    PriorityName,
    delta_q,
    length_mask,
    n_step_targets,
    rescale,
    unrescale,
)
from r2d2.agent.networks import QNetwork
from r2d2.agent.sequences import InitialState, Sequences
from r2d2.agent.update import Update, not_finite
from r2d2.types import Batch

TARGET_COLUMNS = ("action", "reward", "terminated")

__all__ = ["InitialState", "Learner", "TDErrors", "Update"]


class TDErrors(NamedTuple):
    """What `Learner.errors` finds; the first three are [unroll, B], errors and Q(s, a) with gradients."""

    error: Tensor
    q_taken: Tensor
    mask: Tensor
    refreshed: Tensor | None  # [B, C], see `Update`


class Learner:
    """Owns the online and the target network and the optimizer.

    `burn_in`, `unroll`, `n_step` and `period` are the layout of the batches.
    `rescaling` False trains on plain Q values (DQN's presets, with clipped rewards); `target_bounds` are those of
    n-step returns before rescaling. `gradient_accumulation_steps` sums the gradient over that many parts of
    each batch, one after the other, where memory for all of it is short.

    `asynchronous` (default: on a GPU) never waits for the device. A gradient that is not finite then raises
    when the `Update` is read; as always it has changed no parameter. `graphs` replays whole updates as a CUDA
    graph (`graphed.py`), which asks for batches of one shape.

    `initial_state`: see `Sequences`; `Update.refreshed` is to be written back by the caller.
    """

    def __init__(
        self,
        network: QNetwork,
        *,
        burn_in: int,
        unroll: int,
        n_step: int,
        discount: float,
        eta: float,
        learning_rate: float,
        adam_epsilon: float,
        max_grad_norm: float,
        target_period: int,
        period: int = 1,
        initial_state: InitialState = "stored",
        loss: LossName = "squared",
        priority: PriorityName = "mixed",
        rescaling: bool = True,
        reward_clip: float = 0.0,
        target_bounds: tuple[float, float] = (-math.inf, math.inf),
        double: bool = True,
        precision: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        gradient_accumulation_steps: int = 1,
        asynchronous: bool | None = None,
        graphs: bool = False,
    ) -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device)
        self.target = copy.deepcopy(self.network).requires_grad_(False)
        for net in (self.network, self.target):
            net.flatten_core()
        graphs = graphs and self.device.type == "cuda"
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=learning_rate, eps=adam_epsilon, fused=True, capturable=graphs
        )
        self.transfer = Transfer(self.device, [*network.inputs.columns, *TARGET_COLUMNS])
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.asynchronous = self.device.type != "cpu" if asynchronous is None else asynchronous
        self.sequences = Sequences(
            burn_in=burn_in, unroll=unroll, period=period,
            initial_state=initial_state, fixed_shapes=self.device.type != "cpu",
        )  # fmt: skip
        self._graphed = CudaGraph(self._step) if graphs else None
        self.burn_in, self.unroll, self.n_step = burn_in, unroll, n_step
        self.discount, self.eta = discount, eta
        self.max_grad_norm, self.target_period = max_grad_norm, target_period
        self.loss, self.priority = LOSSES[loss], PRIORITIES[priority]
        self.rescaling, self.reward_clip, self.double = rescaling, reward_clip, double
        self.target_bounds = target_bounds
        self.precision = precision
        self.updates = 0

    def update(self, batch: Batch) -> Update:
        """Take one optimizer step; returns new priorities of the batch's items."""
        with record_function("copy"):
            data = self.transfer(batch)
        graphed = self._graphed if self.sequences.same_calls(data) else None
        values, refreshed = self._step(data) if graphed is None else graphed(data)
        self.updates += 1
        update = Update(self.updates, values, refreshed, self._undo)
        if self.updates % self.target_period == 0:
            update.metrics  # noqa: B018 (raises if this update must not count)
            with record_function("target copy"):
                self.target.load_state_dict(self.network.state_dict())
        return update

    def _undo(self) -> None:
        self.updates -= 1

    def _step(self, data: DeviceBatch) -> tuple[Tensor, Tensor | None]:
        """The optimizer step itself; returns priorities and metrics [B + 4] and the successors' states."""
        self.optimizer.zero_grad(set_to_none=True)
        found = [self._backward(part, len(data)) for part in data.parts(self.gradient_accumulation_steps)]
        with record_function("optimizer"):
            norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.max_grad_norm)
            finite = torch.isfinite(norm)
            if self.asynchronous:  # the fused optimizer itself leaves out a step where this is 1
                self.optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
            elif not finite:
                raise not_finite(self.updates + 1)
            self.optimizer.step()
        with record_function("priorities"):
            loss, size, q_sum, count = torch.stack([sums for _, sums, _ in found]).sum(0)
            metrics = torch.stack([loss, norm, size / count, q_sum / count])
            values = torch.cat([*(priorities for priorities, _, _ in found), metrics])
        states = [state for _, _, state in found if state is not None]
        return values, torch.cat(states) if states else None

    def _backward(self, data: DeviceBatch, items: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Adds the gradient of a part of a batch of so many items; returns its priorities, the sums [4] of
        loss, |TD error|, Q(s, a) and trained steps, and the successors' states."""
        error, q_taken, mask, refreshed = self._errors(data)
        with record_function("targets"):  # sum over time, mean over items
            loss = (self.loss(error) * mask).sum(0).mul(data.weight).sum() / items
        with record_function("backward"):
            loss.backward()
        with torch.no_grad(), record_function("priorities"):
            error = error.detach()
            priorities = self.priority(error, mask, self.eta)
            sums = [loss.detach(), (error.abs() * mask).sum(), (q_taken * mask).sum(), mask.sum()]
            return priorities, torch.stack(sums), refreshed

    def errors(self, batch: Batch) -> TDErrors:
        """TD errors, Q(s, a) and the mask of valid steps of a batch, and the successors' states if asked."""
        return self._errors(self.transfer(batch))

    def _errors(self, data: DeviceBatch) -> TDErrors:
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            q, q_target, refreshed = self.sequences.q_values(self.network, self.target, data)
        with record_function("targets"):
            reward = self._trained(data, "reward").clamp(*self._reward_bounds)
            discount = self.discount * (1.0 - self._trained(data, "terminated").float())
            action = self._trained(data, "action")[: self.unroll].long()
            mask = length_mask(data.length, self.unroll)
            end = data.length + data.lookahead - 1
            q_taken = q[: self.unroll].gather(-1, action.unsqueeze(-1)).squeeze(-1)
            with torch.no_grad():
                best = (q if self.double else q_target).argmax(-1, keepdim=True)
                value = q_target.gather(-1, best).squeeze(-1)
                value = unrescale(value) if self.rescaling else value
                target = n_step_targets(reward, discount, value, end, self.n_step).clamp(*self.target_bounds)
                target = rescale(target) if self.rescaling else target
            return TDErrors(q_taken - target, q_taken, mask, refreshed)

    @torch.no_grad()
    def delta_q(
        self, batch: Batch, first: NDArray[np.float32], last: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Delta-Q [B] at the first and at the last trained step of each item (`losses.delta_q`), in float32.

        `first` and `last` [B, C] are the states that the actor really had before those steps. They are
        compared with the states that training has there: from `initial_state`, through burn-in and unroll,
        under the online network's weights of now.
        """
        data = self.transfer(batch)
        trained, state = self.sequences.trained(self.network, data)
        at = data.length - 1, torch.arange(len(data), device=self.device)

        def q(rows: Tensor, core: Tensor) -> Tensor:
            return self.network.values(self.network.unroll(rows, core)[0])

        at_first = delta_q(
            q(trained[:1], state)[0], q(trained[:1], torch.from_numpy(first).to(self.device))[0]
        )
        at_last = delta_q(
            q(trained, state)[at], q(trained[at].unsqueeze(0), torch.from_numpy(last).to(self.device))[0]
        )
        return at_first.cpu().numpy(), at_last.cpu().numpy()

    def _trained(self, data: DeviceBatch, column: str) -> Tensor:
        """The rows from the first trained step on, time-major [unroll + n_step, B]."""
        return data.columns[column][:, self.burn_in :].T

    @property
    def _reward_bounds(self) -> tuple[float, float]:
        bound = self.reward_clip if self.reward_clip > 0 else float("inf")
        return -bound, bound

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the next update."""
        return {
            "network": self.network.state_dict(),
            "target": self.target.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.target.load_state_dict(state["target"])
        self.optimizer.load_state_dict(
            state["optimizer"] if "optimizer" in state else state["optimiser"]
        )  # its name until 0.1
        self.updates = state["updates"]
