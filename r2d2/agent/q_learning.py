"""QLearning: double Q-learning of counted actions, along sequences (R2D2; DQN with an unroll of 1).

Distributional heads are trained by cross-entropy or quantile regression. Their actions, and those of double
Q-learning, are chosen by the expected values, and their priorities are made of the errors of these (ours; Rainbow
has the KL divergence): so the first ones are in the same units, which actors know, and an item is not drawn for the
entropy of its return.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from r2d2.agent.device_batch import DeviceBatch
from r2d2.agent.heads.distributional import C51, HLGauss, Quantiles
from r2d2.agent.histograms import cross_entropy
from r2d2.agent.losses import LOSSES, Priority, length_mask, sequence_loss
from r2d2.agent.method import Backward, TDErrors
from r2d2.agent.networks import QNetwork
from r2d2.agent.precision import autocast
from r2d2.agent.quantiles import quantile_loss
from r2d2.agent.stages import stage
from r2d2.agent.targets import clipped, return_histogram, return_quantiles, targets
from r2d2.agent.td_scale import batch_moments, moved, outside_trust_region, td_scale
from r2d2.agent.update import METRICS
from r2d2.agent.value_scale import ValueScale, largest_squares
from r2d2.config.learner import LearnerConfig

if TYPE_CHECKING:
    from r2d2.agent.learner import Learner


class _Found(NamedTuple):
    """What an update needs; [unroll, B] where nothing else is said."""

    errors: TDErrors
    losses: Tensor  # with gradients
    scaled: Tensor  # the TD errors that priorities are made of
    scale: Tensor  # [5] their sigma, the share of trusted steps, the moments of the batch; or
    # [1] the sum of squared values, where these have a scale; or [0]


class QLearning:
    """The method of a `QNetwork`; see `agent.learner.Method`."""

    def __init__(self, config: LearnerConfig, priority: Priority) -> None:
        self.config, self.priority = config, priority
        self.metrics: tuple[str, ...] = METRICS
        self.moments = torch.zeros(3)  # of the TD errors so far, see `agent.td_scale`
        if config.scales_td_errors:
            self.metrics = (*METRICS, "td_scale", "trusted")
        self.value_scale = ValueScale(config.value_rms) if config.value_rms > 0.0 else None
        if self.value_scale is not None:
            self.metrics = (*METRICS, "value_scale")
        behavior = ("log_probability",) if config.records_behavior else ()
        self.columns: tuple[str, ...] = ("action", "reward", "terminated", *behavior)

    def noise(self, items: int, rows: int) -> None:
        """It needs no random numbers."""

    def errors(self, learner: Learner, data: DeviceBatch) -> TDErrors:
        """TD errors of double Q-learning: the online network chooses the action that the target network values."""
        return self._evaluate(learner, data).errors

    def _evaluate(self, learner: Learner, data: DeviceBatch) -> _Found:
        online, target_network = (cast(QNetwork, net) for net in (learner.network, learner.target))
        unroll = learner.trained_rows(data)
        with autocast(learner.precision, learner.device):
            found = learner.unroll(data)
            q, logits = online.values_and_logits(found.trained)
            with torch.no_grad():
                q_lookahead = online.values(found.lookahead)
                q_target, target_logits = target_network.values_and_logits(found.target)
            q = torch.cat([q, q_lookahead])
        with stage("targets"):
            action, reward, terminated, *behavior = (
                learner.after_burn_in(data, name) for name in self.columns
            )
            q_taken = q[:unroll].gather(-1, action[:unroll].long().unsqueeze(-1)).squeeze(-1)
            with torch.no_grad():
                end = data.length + data.lookahead - 1
                mu = behavior[0].exp() if behavior else None
                bootstrap = q if self.config.bootstrap == "online" else q_target
                target = targets(
                    q, bootstrap, action, reward, terminated, mu, end, learner.layout.n_step, self.config
                )
            errors = TDErrors(q_taken - target, q_taken, length_mask(data.length, unroll), found.refreshed)
            if self.config.scales_td_errors:
                taken_target = q_target[:unroll].gather(-1, action[:unroll].long().unsqueeze(-1)).squeeze(-1)
                return self._scaled(errors, taken_target, target)
            if self.value_scale is not None:
                scaled = errors.error / self.value_scale.now(target.device)
                squares = largest_squares(target, clipped(reward, self.config), end, self.config.discount)
                total = (squares * errors.mask).sum().unsqueeze(0)
                return _Found(errors, LOSSES[self.config.loss](scaled), errors.error, total)
            if logits is None or target_logits is None:
                return _Found(errors, LOSSES[self.config.loss](errors.error), errors.error, q.new_zeros(0))
            best = chosen(target_logits, (q if self.config.double else q_target).argmax(-1))
            steps = reward, terminated, end, learner.layout.n_step, self.config
            losses = distributional_losses(online.head, chosen(logits, action[:unroll]), target, best, *steps)
            return _Found(errors, losses, errors.error, q.new_zeros(0))

    def _scaled(self, errors: TDErrors, q_target: Tensor, target: Tensor) -> _Found:
        """With errors in units of their standard deviation, and losses within the trust region; `q_target` and
        `target` are [unroll, B]."""
        c, error = self.config, errors.error
        with torch.no_grad():
            self.moments = self.moments.to(error.device)
            batch = batch_moments(error, errors.mask)
            sigma = td_scale(self.moments, batch, c.td_deviation_floor)
            trusted = errors.mask
            if c.trust_region > 0.0:
                outside = outside_trust_region(errors.q_taken, q_target, target, c.trust_region * sigma)
                trusted = trusted * ~outside
            share = trusted.sum() / errors.mask.sum()
        scaled = error / sigma if c.normalize_td_errors else error
        scale = torch.cat([torch.stack([sigma, share]), batch])
        return _Found(errors, LOSSES[c.loss](scaled) * trusted, scaled, scale)

    def backward(self, learner: Learner, data: DeviceBatch, *, items: int) -> Backward:
        """Adds the gradient of the TD errors' loss. The sums are loss, |TD error|, Q(s, a), trained steps, and
        `_Found.scale`, of which there is one part alone."""
        (error, q_taken, mask, refreshed), losses, scaled, scale = self._evaluate(learner, data)
        with stage("targets"):  # sum over time, mean over items
            loss = sequence_loss(losses, mask, data.weight, items)
        with stage("backward"):
            loss.backward()
        with torch.no_grad(), stage("priorities"):
            error = error.detach()
            sums = [loss.detach(), (error.abs() * mask).sum(), (q_taken * mask).sum(), mask.sum()]
            priorities = self.priority(scaled.detach(), mask)
            return Backward(priorities, torch.cat([torch.stack(sums), scale]), refreshed)

    def summary(self, sums: Tensor, norm: Tensor) -> Tensor:
        """See `Method.summary`. The moments of an update whose gradient is not finite do not count."""
        loss, size, q_sum, count, *scale = sums
        if self.value_scale is not None:
            known = self.value_scale.now(norm.device)
            self.value_scale.add(scale[0] / count, torch.isfinite(norm))
            scale = [known]
        elif scale:
            newer = moved(self.moments, torch.stack(scale[2:]), self.config.td_deviation_rate)
            self.moments.copy_(torch.where(torch.isfinite(norm), newer, self.moments))
        return torch.stack([loss, norm, size / count, q_sum / count, *scale[:2]])

    def state_dict(self) -> dict[str, Any]:
        """The running moments of TD errors or targets, where they matter."""
        if self.value_scale is not None:
            return {"value_moments": self.value_scale.moments.clone()}
        return {"td_moments": self.moments.clone()} if self.config.scales_td_errors else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """They begin anew in a run that had no use for them before."""
        if self.config.scales_td_errors:
            self.moments.copy_(state.get("td_moments", torch.zeros(3)))
        if self.value_scale is not None:
            self.value_scale.moments.copy_(state.get("value_moments", torch.zeros(2)))


def distributional_losses(
    head: nn.Module,
    logits: Tensor,
    target: Tensor,
    target_logits: Tensor,
    reward: Tensor,
    terminated: Tensor,
    end: Tensor,
    n: int,
    config: LearnerConfig,
) -> Tensor:
    """Losses [unroll, B] of the logits or quantiles [unroll, B, K] of the actions that were taken.

    `target` [unroll, B] are the targets of expected values, `target_logits` [rows, B, K] what the target network
    has for the best action; the other arguments are those of `return_histogram`.
    """
    if isinstance(head, HLGauss):
        return cross_entropy(head.histogram(target), logits)
    head = cast("C51 | Quantiles", head)
    if head.rescaling != config.rescaling:
        raise ValueError("QNetwork's rescaling must be that of the LearnerConfig")
    with torch.no_grad():
        steps = reward, terminated, end, n, config
        if isinstance(head, Quantiles):
            samples = return_quantiles(head.returns(target_logits), *steps)
        else:
            histogram = return_histogram(
                target_logits.softmax(-1), head.returns, (head.low, head.high), *steps
            )
    return quantile_loss(logits, samples) if isinstance(head, Quantiles) else cross_entropy(histogram, logits)


def chosen(logits: Tensor, action: Tensor) -> Tensor:
    """The logits [..., K] of actions [...], of logits [..., A, K]."""
    index = action.long()[..., None, None].expand(*action.shape, 1, logits.shape[-1])
    return logits.gather(-2, index).squeeze(-2)
