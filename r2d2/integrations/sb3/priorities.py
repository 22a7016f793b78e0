"""PrioritizedLoss: a callback that adds importance weights to SB3's unchanged training steps.

    model = DQN("MlpPolicy", env, replay_buffer_class=ReplayBuffer,
                replay_buffer_kwargs={"selector": "proportional"})
    model.learn(100_000, callback=PrioritizedLoss(beta=LinearSchedule(0.4, 1.0, 1.0)))

SB3's losses are plain means over the batch. The gradient of a weighted mean is the plain one with the gradient at
each item's Q value times its weight, so the weights are multiplied in there, in the critic's backward pass: SB3's
optimizer gets exactly the gradient of the weighted loss, including the critic's features, before SB3's gradient
clipping. TD errors are the differences of the loss's own arguments, also in a subclass with a `train` of its own
(double DQN): no forward pass and no random number is added, and with weights of 1 training is unchanged, bit for
bit.

Only the critic's loss is weighted. Actor and temperature losses of DDPG, TD3 and SAC stay plain means over the
drawn items, as in public implementations of prioritized TD3 and SAC. SB3 logs the unweighted loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN, SAC, TD3
from stable_baselines3.common.callbacks import BaseCallback
from torch.nn import functional

from r2d2.integrations.sb3.buffer import ReplayBuffer
from r2d2.integrations.sb3.transitions import Samples

Schedule = Callable[[float], float]

# Losses of Q values and targets whose difference is the TD error.
LOSSES = (functional.smooth_l1_loss, functional.mse_loss, functional.huber_loss, functional.l1_loss)


def watched(seen: Callable[[torch.Tensor, torch.Tensor], None]) -> type[torch.Tensor]:
    """A tensor type, inherited by all results, that calls `seen` with the two arguments of the loss that such a
    tensor is passed to."""

    class Watched(torch.Tensor):
        @classmethod
        def __torch_function__(
            cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
        ) -> Any:
            result = super().__torch_function__(func, types, args, kwargs or {})
            if func not in LOSSES:
                return result
            given = dict(zip(("input", "target"), args, strict=False)) | dict(kwargs or {})
            pair = given["input"], given["target"]
            if any(part.requires_grad for part in pair):  # else no gradient flows
                seen(*(part.detach().as_subclass(torch.Tensor) for part in pair))
            return result.as_subclass(torch.Tensor)

    return Watched


class _Batch:
    """One batch between the buffer's draw and the critic's loss."""

    def __init__(self, samples: Samples, ids: NDArray[np.int64], weight: torch.Tensor) -> None:
        self.samples, self.ids, self.weight = samples, ids, weight  # weight [B, 1]
        self.critics = 0  # how many critics are trained on it
        self.errors: list[torch.Tensor] = []  # |TD| [B] by critic


class PrioritizedLoss(BaseCallback):
    """Weights the critic's loss and returns absolute TD errors as priorities. For DQN, DDPG, TD3 and SAC.

    `beta` is the exponent of the importance weights: a number, or as elsewhere in SB3 a function of the remaining
    progress, from 1 at the start to 0 at the end. With two critics an item's priority is the larger of its two
    errors (as in LAP, Fujimoto et al. 2020). The buffer must be ours, with selector "proportional" or "rank".

    Raises TypeError for other algorithms and buffers, ValueError if the model's n_steps or gamma differ from the
    buffer's, RuntimeError if a training step did not pass its batch through the critic and one of `LOSSES` (a
    subclass with a `train` of its own).
    """

    def __init__(self, beta: float | Schedule = 0.4, verbose: int = 0) -> None:
        super().__init__(verbose)
        if not callable(beta) and not 0.0 <= beta <= 1.0:
            raise ValueError(f"beta must be in [0, 1] or a function of the remaining progress, got {beta}")
        self._beta = beta
        self._batch: _Batch | None = None
        self._hooks: list[Any] = []
        self._watched = watched(self._loss)

    @property
    def beta(self) -> float:
        """The current exponent of the importance weights."""
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
        check_returns(model, buffer)
        self._detach()
        buffer.learner = self
        critic, hook = (
            (model.q_net, self._values) if isinstance(model, DQN) else (model.critic, self._critics)
        )
        self._hooks.append(critic.register_forward_hook(hook))

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
                f"a training step of {type(self.model).__name__} did not pass its batch through the critic and "
                f"from there into one of torch's {', '.join(loss.__name__ for loss in LOSSES)}, so that its TD "
                "errors are unknown: is `train` overridden?"
            )

    def drawn(self, samples: Samples, ids: NDArray[np.int64], weight: NDArray[np.float32]) -> None:
        """Called by the buffer with each batch that it returns to SB3."""
        self._check_trained()
        self._batch = _Batch(samples, ids, torch.from_numpy(weight).to(samples.rewards.device)[:, None])

    # -- the batch through the critic and into its loss --------------------------------------------------------

    def _values(self, module: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor | None:
        """Hook on DQN's network, which is called with the batch's observations, for the loss, or with others."""
        batch = self._batch
        if batch is None or inputs[0] is not batch.samples.observations or not output.requires_grad:
            return None
        return self._weighted(batch, output)

    def _critics(self, module: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> Any:
        """Hook on the critics: their loss calls them with the batch's actions, the actor's loss with its own."""
        batch = self._batch
        if batch is None or inputs[1] is not batch.samples.actions or not output[0].requires_grad:
            return None
        return tuple(self._weighted(batch, values) for values in output)

    def _weighted(self, batch: _Batch, values: torch.Tensor) -> torch.Tensor:
        """Q values that weight the gradient in the backward pass, and report the loss that they are passed to."""
        values.register_hook(lambda gradient: gradient * batch.weight)
        batch.critics += 1
        return values.as_subclass(self._watched)

    def _loss(self, values: torch.Tensor, target: torch.Tensor) -> None:
        """Called with the Q values and targets of a loss, in either order."""
        batch = self._batch
        if batch is None:
            return
        if values.shape != target.shape or values.numel() != len(batch.ids):
            raise RuntimeError(
                f"the loss in `train` of {type(self.model).__name__} must compare one Q value with one target for "
                f"each of the {len(batch.ids)} items, got {tuple(values.shape)} and {tuple(target.shape)}"
            )
        batch.errors.append((values - target).abs().flatten())
        if len(batch.errors) == batch.critics:
            buffer: Any = self.model.replay_buffer  # type: ignore[attr-defined]
            errors = torch.stack(batch.errors).amax(0)
            buffer.update_priorities(batch.ids, errors.cpu().numpy())
            self._batch = None


def check_returns(model: Any, buffer: ReplayBuffer) -> None:
    """Raise ValueError if the model's n-step returns differ from the buffer's."""
    if model.n_steps not in (1, buffer.n_steps):
        raise ValueError(
            f"n_steps={model.n_steps} of the model has no effect with a replay_buffer_class: use "
            f'replay_buffer_kwargs={{"n_steps": {model.n_steps}, "gamma": {model.gamma}}}'
        )
    if buffer.n_steps > 1 and buffer.gamma != model.gamma:
        raise ValueError(
            f"gamma of the n-step returns must be the model's {model.gamma}, got {buffer.gamma} in "
            "replay_buffer_kwargs"
        )
