"""Learner: one R2D2 update from one batch.

Burn-in runs without gradient through the online and the target network, each with its own weights from the
same stored state, and for each item only over the rows it really has. The trained rows and the lookahead
follow in one fused recurrent call each.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

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
from r2d2.agent.networks import QNetwork, stack_frames
from r2d2.types import Batch

InitialState = Literal["stored", "zero", "refreshed", "episode"]

Encoder = Callable[[QNetwork, int, int | None], Tensor]


class Update(NamedTuple):
    """What an update leaves behind. `priorities` [B] belong to the batch's ids; `metrics` are floats.

    `refreshed` [B, C] is, in mode `refreshed`, the recurrent state before the first row of each item's
    successor (the next item of its episode), as the weights before this update have it. It means nothing for
    an item that has no successor.
    """

    priorities: NDArray[np.float64]
    metrics: dict[str, float]
    refreshed: NDArray[np.float32] | None = None


class Errors(NamedTuple):
    """What `Learner.errors` finds; the first three are [unroll, B], errors and Q(s, a) with gradients."""

    error: Tensor
    q_taken: Tensor
    mask: Tensor
    refreshed: Tensor | None  # [B, C], see `Update`


class Learner:
    """Owns the online and the target network and the optimiser.

    `stack` is the frame stack, `burn_in`, `unroll`, `n_step` and `period` are the layout of the batches.
    `rescaling` False trains on plain Q values (DQN's presets, with clipped rewards); `target_bounds` are those of
    n-step returns before rescaling.

    `initial_state` is what an item's recurrent state begins as: the actor's, `stored` with the item; `zero`;
    `refreshed`, that is stored and then replaced by the learner's own whenever the item before it is trained
    (`Update.refreshed`, to be written back by the caller); or `episode`, zero at the first step of whole
    episodes, where it is the truth.
    """

    def __init__(
        self,
        network: QNetwork,
        *,
        stack: int,
        pixels: bool,
        burn_in: int,
        unroll: int,
        n_step: int,
        discount: float,
        eta: float,
        learning_rate: float,
        adam_epsilon: float,
        clip_norm: float,
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
    ) -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device)
        self.target = copy.deepcopy(self.network).requires_grad_(False)
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=learning_rate, eps=adam_epsilon, fused=True
        )
        self.stack, self.pixels = stack, pixels
        self.burn_in, self.unroll, self.n_step, self.period = burn_in, unroll, n_step, period
        self.discount, self.eta = discount, eta
        self.clip_norm, self.target_period = clip_norm, target_period
        self.initial_state = initial_state
        self.loss, self.priority = LOSSES[loss], PRIORITIES[priority]
        self.rescaling, self.reward_clip, self.double = rescaling, reward_clip, double
        self.target_bounds = target_bounds
        self.precision = precision
        self.updates = 0

    def update(self, batch: Batch) -> Update:
        """Take one optimiser step; returns new priorities of the batch's items."""
        error, q_taken, mask, refreshed = self.errors(batch)
        weight = self._tensor(batch.weight)
        loss = (self.loss(error) * mask).sum(0).mul(weight).mean()  # sum over time, mean over items
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        if not torch.isfinite(norm):
            raise FloatingPointError(
                f"update {self.updates + 1}: the gradient is not finite, so no parameter was changed; "
                "lower learner.learning_rate or use precision float32"
            )
        self.optimiser.step()
        self.updates += 1
        if self.updates % self.target_period == 0:
            self.target.load_state_dict(self.network.state_dict())
        with torch.no_grad():
            error = error.detach()
            priorities = self.priority(error, mask, self.eta).cpu().double().numpy()
            count = mask.sum()
            metrics = {
                "loss": loss.item(),
                "gradient_norm": norm.item(),
                "td_error": ((error.abs() * mask).sum() / count).item(),
                "q_mean": ((q_taken * mask).sum() / count).item(),
            }
        return Update(priorities, metrics, None if refreshed is None else refreshed.cpu().numpy())

    def errors(self, batch: Batch) -> Errors:
        """TD errors, Q(s, a) and the mask of valid steps of a batch, and the successors' states if asked."""
        columns = batch.columns
        reward = self._trained(columns["reward"]).clamp(*self._reward_bounds)
        discount = self.discount * (1.0 - self._trained(columns["terminated"]).float())
        action = self._trained(columns["action"])[: self.unroll].long()
        mask = length_mask(self._tensor(batch.length), self.unroll)
        end = self._tensor(batch.length + batch.lookahead - 1)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            q, q_target, refreshed = self._q_values(batch)
        q_taken = q[: self.unroll].gather(-1, action.unsqueeze(-1)).squeeze(-1)
        with torch.no_grad():
            best = (q if self.double else q_target).argmax(-1, keepdim=True)
            value = q_target.gather(-1, best).squeeze(-1)
            value = unrescale(value) if self.rescaling else value
            target = n_step_targets(reward, discount, value, end, self.n_step).clamp(*self.target_bounds)
            target = rescale(target) if self.rescaling else target
        return Errors(q_taken - target, q_taken, mask, refreshed)

    @torch.no_grad()
    def delta_q(
        self, batch: Batch, first: NDArray[np.float32], last: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Delta-Q [B] at the first and at the last trained step of each item (`losses.delta_q`), in float32.

        `first` and `last` [B, C] are the states that the actor really had before those steps. They are
        compared with the states that training has there: from `initial_state`, through burn-in and unroll,
        under the online network's weights of now.
        """
        inputs = self._encoder(batch)(self.network, 0, self.burn_in + self.unroll)
        warm, trained = inputs[: self.burn_in], inputs[self.burn_in :]
        state = self._warm_up(self.network, warm, self._initial_core(batch), batch.burn_in)
        at = self._tensor(batch.length - 1), torch.arange(len(batch.ids), device=self.device)

        def q(rows: Tensor, core: Tensor) -> Tensor:
            return self.network.values(self.network.unroll(rows, core)[0])

        at_first = delta_q(q(trained[:1], state)[0], q(trained[:1], self._tensor(first))[0])
        at_last = delta_q(q(trained, state)[at], q(trained[at].unsqueeze(0), self._tensor(last))[0])
        return at_first.cpu().numpy(), at_last.cpu().numpy()

    def _q_values(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Online and target Q values [unroll + n_step, B, A], gradients for the first `unroll` rows only, and
        the successors' states."""
        inputs, core = self._encoder(batch), self._initial_core(batch)
        warm, end = self.burn_in, self.burn_in + self.unroll
        state, refreshed = core, None
        with torch.no_grad():
            inputs_target = inputs(self.target, 0, None)
            state_target = self._warm_up(self.target, inputs_target[:warm], core, batch.burn_in)
            q_target = self.target.values(self.target.unroll(inputs_target[warm:], state_target)[0])
            if warm:
                state, refreshed = self._burn_in(inputs(self.network, 0, warm), core, batch.burn_in)
        outputs, state, cut = self._unroll(inputs(self.network, warm, end), state)
        q = self.network.values(outputs)
        with torch.no_grad():
            tail = self.network.unroll(inputs(self.network, end, None), state.detach())[0]
            q_tail = self.network.values(tail)
        return torch.cat([q, q_tail]), q_target, cut if refreshed is None else refreshed

    def _encoder(self, batch: Batch) -> Encoder:
        """Core inputs of the rows [start, stop) of a batch, as one of the networks has them."""
        columns = batch.columns
        observation = stack_frames(self._tensor(columns["observation"]), self.stack, pixels=self.pixels)
        action = self._tensor(columns["previous_action"]).T
        reward = self._tensor(columns["previous_reward"]).T

        def inputs(network: QNetwork, start: int, stop: int | None) -> Tensor:
            return network.encode(observation[start:stop], action[start:stop], reward[start:stop])

        return inputs

    def _initial_core(self, batch: Batch) -> Tensor:
        core = self._tensor(batch.core)
        return core if self.initial_state in ("stored", "refreshed") else torch.zeros_like(core)

    # An item's successor begins `period` rows after the item's window does, padding before the episode's
    # first row included. Where that row is padding, both begin with the episode and have the same state.

    def _burn_in(
        self, inputs: Tensor, core: Tensor, burn_in: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor | None]:
        """The online network's state before the first trained row, and before the successor's first row if
        that is asked for and lies not beyond; both [B, C]."""
        if self.initial_state != "refreshed" or self.period > self.burn_in:
            return self._warm_up(self.network, inputs, core, burn_in), None
        after = self.burn_in - self.period
        refreshed = self._warm_up(self.network, inputs[: self.period], core, burn_in - after)
        return self._warm_up(self.network, inputs[self.period :], refreshed, burn_in), refreshed

    def _unroll(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Outputs of the trained rows, the state after them, and the one before the successor's first row if
        that is asked for and lies in or just after them."""
        at = self.period - self.burn_in
        if self.initial_state != "refreshed" or at <= 0:
            return *self.network.unroll(inputs, state), None
        outputs, state = self.network.unroll(inputs[:at], state)
        refreshed = state.detach()
        if at < self.unroll:
            rest, state = self.network.unroll(inputs[at:], state)
            outputs = torch.cat([outputs, rest])
        return outputs, state, refreshed

    def _warm_up(self, network: QNetwork, inputs: Tensor, core: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """The state [B, C] after the last `rows[b]` of the inputs, or after all of them if there are fewer:
        one recurrent call for each number of rows, each over rows that the items really have. A batch has one
        or two such numbers, rarely more."""
        if network.core is None:
            return core
        state = core.clone()
        rows = rows.clip(0, len(inputs))
        for count in np.unique(rows).tolist():
            if count:
                items = self._tensor(np.flatnonzero(rows == count))
                state[items] = network.unroll(inputs[len(inputs) - count :, items], core[items])[1]
        return state

    def _trained(self, column: NDArray) -> Tensor:
        """The rows from the first trained step on, time-major [unroll + n_step, B]."""
        return self._tensor(column)[:, self.burn_in :].T

    @property
    def _reward_bounds(self) -> tuple[float, float]:
        bound = self.reward_clip if self.reward_clip > 0 else float("inf")
        return -bound, bound

    def _tensor(self, array: NDArray) -> Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the next update."""
        return {
            "network": self.network.state_dict(),
            "target": self.target.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.target.load_state_dict(state["target"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.updates = state["updates"]
