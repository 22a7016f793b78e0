"""PrioritizedLoss: a callback through which SB3's unchanged training steps learn with importance weights.

    model = DQN("MlpPolicy", env, replay_buffer_class=ReplayBuffer,
                replay_buffer_kwargs={"selector": "proportional"})
    model.learn(100_000, callback=PrioritizedLoss(beta=LinearSchedule(0.4, 1.0, 1.0)))

SB3's losses are plain means over the batch. The gradient of a weighted mean is the plain one with the gradient at
each item's Q value times its weight, so the weights are multiplied in there, on the way back through the critic:
what SB3's optimizer gets is exactly the gradient of the weighted loss, with the critic's features, before
SB3's gradient clipping. TD errors are those of that very loss, not computed a second time: no
forward pass and no random number is added, and with weights of 1 training does not change by a bit.

Only the critic's loss is weighted. Actor and temperature losses of DDPG, TD3 and SAC stay plain means over the
drawn items, as in public implementations of prioritized TD3 and SAC. The loss that SB3 logs is the unweighted one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN, SAC, TD3
from stable_baselines3.common.callbacks import BaseCallback

from r2d2.integrations.sb3.buffer import ReplayBuffer
from r2d2.integrations.sb3.transitions import Samples

Schedule = Callable[[float], float]

# The derivative of each loss by a critic's Q value is this times the TD error over the batch size. DDPG is a TD3.
SLOPE = {TD3: 2.0, SAC: 1.0}


class _Batch:
    """One batch between the buffer's draw and the critic's backward pass."""

    def __init__(self, samples: Samples, ids: NDArray[np.int64], weight: torch.Tensor) -> None:
        self.samples, self.ids, self.weight = samples, ids, weight  # weight [B, 1]
        self.next_value: torch.Tensor | None = None  # DQN: max Q' of the next observations [B]
        self.errors: list[torch.Tensor] = []  # |TD| [B] by critic


class PrioritizedLoss(BaseCallback):
    """Weights into the critic's loss, absolute TD errors back to the buffer as priorities. For DQN, DDPG, TD3, SAC.

    `beta` is the exponent of the importance weights: a number, or as elsewhere in SB3 a function of the remaining
    progress, from 1 at the start to 0 at the end. With two critics an item's priority is the larger of its two
    errors (as in LAP, Fujimoto et al. 2020). The buffer must be ours, with selector "proportional" or "rank".

    Raises TypeError for other algorithms and buffers, RuntimeError where a training step did not pass its batch
    through the critic (a subclass with a `train` of its own).
    """

    def __init__(self, beta: float | Schedule = 0.4, verbose: int = 0) -> None:
        super().__init__(verbose)
        if not callable(beta) and not 0.0 <= beta <= 1.0:
            raise ValueError(f"beta must be in [0, 1] or a function of the remaining progress, got {beta}")
        self._beta = beta
        self._batch: _Batch | None = None
        self._hooks: list[Any] = []

    @property
    def beta(self) -> float:
        """The exponent of the importance weights now."""
        if callable(self._beta):
            return float(self._beta(self.model._current_progress_remaining))
        return self._beta

    def _on_training_start(self) -> None:
        model: Any = self.model
        buffer = model.replay_buffer if isinstance(model, (DQN, TD3, SAC)) else None
        if buffer is None:
            raise TypeError(f"PrioritizedLoss is for DQN, DDPG, TD3 and SAC, got {type(model).__name__}")
        if not isinstance(buffer, ReplayBuffer) or buffer.selector == "uniform":
            raise TypeError(
                "PrioritizedLoss needs replay_buffer_class=r2d2.integrations.sb3.ReplayBuffer with "
                f'replay_buffer_kwargs={{"selector": "proportional"}} or "rank", got {type(buffer).__name__}'
            )
        self._detach()
        buffer.learner = self
        if isinstance(model, DQN):
            self._hooks.append(model.q_net_target.register_forward_hook(self._target_values))
            self._hooks.append(model.q_net.register_forward_hook(self._values))
        else:
            self._slope = next(slope for kind, slope in SLOPE.items() if isinstance(model, kind))
            self._hooks.append(model.critic.register_forward_hook(self._critics))

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self._check_trained()

    def _on_training_end(self) -> None:
        self._check_trained()
        self._detach()
        self.model.replay_buffer.learner = None  # type: ignore[attr-defined]

    def _detach(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._batch = [], None

    def _check_trained(self) -> None:
        if self._batch is not None:
            raise RuntimeError(
                f"a training step of {type(self.model).__name__} did not pass its batch through the critic, so "
                "that its TD errors are unknown: is `train` overridden?"
            )

    def drawn(self, samples: Samples, ids: NDArray[np.int64], weight: NDArray[np.float32]) -> None:
        """The buffer handed this batch to SB3."""
        self._check_trained()
        self._batch = _Batch(samples, ids, torch.from_numpy(weight).to(samples.rewards.device)[:, None])

    # -- DQN: the target network first, then the network -----------------------------------------------------

    def _target_values(self, module: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        if self._batch is not None and inputs[0] is self._batch.samples.next_observations:
            self._batch.next_value = output.max(1).values

    def _values(self, module: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        batch = self._batch
        if batch is None or inputs[0] is not batch.samples.observations or batch.next_value is None:
            return
        samples = batch.samples
        gamma: Any = self.model.gamma if samples.discounts is None else samples.discounts  # type: ignore[attr-defined]
        target = samples.rewards + (1 - samples.dones) * gamma * batch.next_value[:, None]
        errors = (target - output.detach().gather(1, samples.actions.long())).abs()[:, 0]
        output.register_hook(lambda gradient: gradient * batch.weight)
        self._finish(batch, errors)

    # -- DDPG, TD3, SAC ----------------------------------------------------------------------------------------

    def _critics(self, module: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
        """The critics' loss calls them with the batch's actions, the actor's loss with its own."""
        batch = self._batch
        if batch is None or inputs[1] is not batch.samples.actions:
            return

        def backward(gradient: torch.Tensor) -> torch.Tensor:
            batch.errors.append(gradient.abs()[:, 0] * (len(gradient) / self._slope))
            if len(batch.errors) == len(output):
                self._finish(batch, torch.stack(batch.errors).amax(0))
            return gradient * batch.weight

        for values in output:
            values.register_hook(backward)

    def _finish(self, batch: _Batch, errors: torch.Tensor) -> None:
        buffer: Any = self.model.replay_buffer  # type: ignore[attr-defined]
        buffer.update_priorities(batch.ids, errors.cpu().numpy())
        self._batch = None
