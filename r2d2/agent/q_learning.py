"""QLearning: double Q-learning of counted actions, along sequences (R2D2; DQN with an unroll of 1).

Distributional heads are trained by cross-entropy. Their actions, and those of double Q-learning, are chosen by the
expected values, and their priorities are made of the errors of these (ours; Rainbow has the KL divergence): so the
first ones are in the same units, which actors know, and an item whose return is noise is not drawn for its entropy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.autograd.profiler import record_function

from r2d2.agent.device_batch import DeviceBatch
from r2d2.agent.heads.distributional import C51, HLGauss
from r2d2.agent.histograms import cross_entropy
from r2d2.agent.losses import LOSSES, Priority, length_mask, sequence_loss
from r2d2.agent.method import Backward, TDErrors
from r2d2.agent.networks import QNetwork
from r2d2.agent.precision import autocast
from r2d2.agent.targets import return_histogram, targets
from r2d2.agent.update import METRICS
from r2d2.config.learner import LearnerConfig

if TYPE_CHECKING:
    from r2d2.agent.learner import Learner


class QLearning:
    """The method of a `QNetwork`; see `agent.learner.Method`."""

    metrics: tuple[str, ...] = METRICS

    def __init__(self, config: LearnerConfig, priority: Priority) -> None:
        self.config, self.priority = config, priority
        behavior = ("log_probability",) if config.records_behavior else ()
        self.columns: tuple[str, ...] = ("action", "reward", "terminated", *behavior)

    def noise(self, items: int, rows: int) -> None:
        """It needs no random numbers."""

    def errors(self, learner: Learner, data: DeviceBatch) -> TDErrors:
        """TD errors of double Q-learning: the online network chooses the action that the target network values."""
        return self._evaluate(learner, data)[0]

    def _evaluate(self, learner: Learner, data: DeviceBatch) -> tuple[TDErrors, Tensor]:
        """TD errors, and losses of each step [unroll, B] with gradients."""
        online, target_network = (cast(QNetwork, net) for net in (learner.network, learner.target))
        unroll = learner.trained_rows(data)
        with autocast(learner.precision, learner.device):
            found = learner.unroll(data)
            q, logits = online.values_and_logits(found.trained)
            with torch.no_grad():
                q_lookahead = online.values(found.lookahead)
                q_target, target_logits = target_network.values_and_logits(found.target)
            q = torch.cat([q, q_lookahead])
        with record_function("targets"):
            action, reward, terminated, *behavior = (
                learner.after_burn_in(data, name) for name in self.columns
            )
            q_taken = q[:unroll].gather(-1, action[:unroll].long().unsqueeze(-1)).squeeze(-1)
            with torch.no_grad():
                end = data.length + data.lookahead - 1
                mu = behavior[0].exp() if behavior else None
                target = targets(
                    q, q_target, action, reward, terminated, mu, end, learner.layout.n_step, self.config
                )
            errors = TDErrors(q_taken - target, q_taken, length_mask(data.length, unroll), found.refreshed)
            if logits is None or target_logits is None:
                return errors, LOSSES[self.config.loss](errors.error)
            with torch.no_grad():
                if isinstance(online.head, HLGauss):
                    histogram = online.head.histogram(target)
                else:
                    head = cast(C51, online.head)
                    if head.rescaling != self.config.rescaling:
                        raise ValueError("QNetwork's rescaling must be that of the LearnerConfig")
                    best = (q if self.config.double else q_target).argmax(-1)
                    histogram = return_histogram(
                        chosen(target_logits, best).softmax(-1),
                        head.returns,
                        (head.low, head.high),
                        reward,
                        terminated,
                        end,
                        learner.layout.n_step,
                        self.config,
                    )
            return errors, cross_entropy(histogram, chosen(logits, action[:unroll]))

    def backward(self, learner: Learner, data: DeviceBatch, *, items: int) -> Backward:
        """Adds the gradient of the TD errors' loss. The sums are loss, |TD error|, Q(s, a) and trained steps."""
        (error, q_taken, mask, refreshed), losses = self._evaluate(learner, data)
        with record_function("targets"):  # sum over time, mean over items
            loss = sequence_loss(losses, mask, data.weight, items)
        with record_function("backward"):
            loss.backward()
        with torch.no_grad(), record_function("priorities"):
            error = error.detach()
            sums = [loss.detach(), (error.abs() * mask).sum(), (q_taken * mask).sum(), mask.sum()]
            return Backward(self.priority(error, mask), torch.stack(sums), refreshed)

    def summary(self, sums: Tensor, norm: Tensor) -> Tensor:
        """See `Method.summary`."""
        loss, size, q_sum, count = sums
        return torch.stack([loss, norm, size / count, q_sum / count])

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing: the networks are all there is."""


def chosen(logits: Tensor, action: Tensor) -> Tensor:
    """The logits [..., K] of actions [...], of logits [..., A, K]."""
    index = action.long()[..., None, None].expand(*action.shape, 1, logits.shape[-1])
    return logits.gather(-2, index).squeeze(-2)
