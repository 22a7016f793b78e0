"""Learner: one R2D2 update from one batch.

Burn-in runs without gradient through the online and the target network, each with its own weights from the
same stored state, and for each item only over the rows it really has. The trained rows and the lookahead
follow in one fused recurrent call each.
"""

from __future__ import annotations

import copy
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from r2d2.agent.losses import length_mask, n_step_targets, rescale, sequence_priority, unrescale
from r2d2.agent.networks import QNetwork, stack_frames
from r2d2.types import Batch

InitialState = Literal["stored", "zero"]


class Update(NamedTuple):
    """What an update leaves behind. `priorities` [B] belong to the batch's ids; the rest are floats."""

    priorities: NDArray[np.float64]
    metrics: dict[str, float]


class Learner:
    """Owns the online and the target network and the optimiser.

    `stack` is the frame stack, `burn_in`, `unroll` and `n_step` are the layout of the batches. `rescaling`
    False trains on plain Q values (DQN's presets, with clipped rewards).
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
        initial_state: InitialState = "stored",
        rescaling: bool = True,
        reward_clip: float = 0.0,
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
        self.burn_in, self.unroll, self.n_step = burn_in, unroll, n_step
        self.discount, self.eta = discount, eta
        self.clip_norm, self.target_period = clip_norm, target_period
        self.initial_state = initial_state
        self.rescaling, self.reward_clip, self.double = rescaling, reward_clip, double
        self.precision = precision
        self.updates = 0

    def update(self, batch: Batch) -> Update:
        """Take one optimiser step; returns new priorities of the batch's items."""
        error, q_taken, mask = self.errors(batch)
        weight = self._tensor(batch.weight)
        loss = (0.5 * error.square() * mask).sum(0).mul(weight).mean()  # sum over time, mean over items
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
            priorities = sequence_priority(error, mask, self.eta).cpu().double().numpy()
            count = mask.sum()
            metrics = {
                "loss": loss.item(),
                "gradient_norm": norm.item(),
                "td_error": ((error.abs() * mask).sum() / count).item(),
                "q_mean": ((q_taken * mask).sum() / count).item(),
            }
        return Update(priorities, metrics)

    def errors(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """TD errors (with gradients), Q(s, a) and the mask of valid steps of a batch, all [unroll, B]."""
        columns = batch.columns
        reward = self._trained(columns["reward"]).clamp(*self._reward_bounds)
        discount = self.discount * (1.0 - self._trained(columns["terminated"]).float())
        action = self._trained(columns["action"])[: self.unroll].long()
        mask = length_mask(self._tensor(batch.length), self.unroll)
        end = self._tensor(batch.length + batch.lookahead - 1)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            q, q_target = self._q_values(batch)
        q_taken = q[: self.unroll].gather(-1, action.unsqueeze(-1)).squeeze(-1)
        with torch.no_grad():
            best = (q if self.double else q_target).argmax(-1, keepdim=True)
            value = q_target.gather(-1, best).squeeze(-1)
            value = unrescale(value) if self.rescaling else value
            target = n_step_targets(reward, discount, value, end, self.n_step)
            target = rescale(target) if self.rescaling else target
        return q_taken - target, q_taken, mask

    def _q_values(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Online and target Q values [unroll + n_step, B, A]; gradients for the first `unroll` rows only."""
        columns = batch.columns
        observation = stack_frames(self._tensor(columns["observation"]), self.stack, pixels=self.pixels)
        action = self._tensor(columns["previous_action"]).T
        reward = self._tensor(columns["previous_reward"]).T
        core = torch.zeros_like(self._tensor(batch.core))
        if self.initial_state == "stored":
            core = self._tensor(batch.core)
        warm, end = self.burn_in, self.burn_in + self.unroll

        def inputs(network: QNetwork, start: int, stop: int | None) -> Tensor:
            return network.encode(observation[start:stop], action[start:stop], reward[start:stop])

        with torch.no_grad():
            inputs_target = inputs(self.target, 0, None)
            state_target = self._warm_up(self.target, inputs_target[:warm], core, batch.burn_in)
            q_target = self.target.values(self.target.unroll(inputs_target[warm:], state_target)[0])
            state = core
            if warm:
                state = self._warm_up(self.network, inputs(self.network, 0, warm), core, batch.burn_in)
        outputs, state = self.network.unroll(inputs(self.network, warm, end), state)
        q = self.network.values(outputs)
        with torch.no_grad():
            tail = self.network.unroll(inputs(self.network, end, None), state.detach())[0]
            q_tail = self.network.values(tail)
        return torch.cat([q, q_tail]), q_target

    def _warm_up(self, network: QNetwork, inputs: Tensor, core: Tensor, burn_in: NDArray[np.int64]) -> Tensor:
        """The state before the first trained row [B, C]: one recurrent call for each burn-in length, each
        over rows that the items really have. A batch has one or two lengths, rarely more."""
        if network.core is None:
            return core
        state = core.clone()
        for length in np.unique(burn_in).tolist():
            if length:
                items = self._tensor(np.flatnonzero(burn_in == length))
                rows = inputs[len(inputs) - length :, items]
                state[items] = network.unroll(rows, core[items])[1]
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
