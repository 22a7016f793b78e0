"""PolicyLearning: SAC, TD3 and DDPG of vector actions, along sequences (feed-forward with an unroll of 1).

The targets are n-step returns. They stop where the episode does, and where it was truncated they bootstrap from its
last observation. An observation is worth the least that the target critics give the policy's action there: SAC's
a sample of the online policy, less its log probability (Haarnoja et al. 2018), TD3's the target policy's with
smoothing noise (Fujimoto et al. 2018), DDPG's the target policy's (Lillicrap et al. 2016).

Policy, critics and temperature move at the same time, each along the gradient of its own loss at the weights before
the update: so every sequence is unrolled once. The policy's loss reaches the critics' cores as constants.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from r2d2.agent.actor_critic import ActorCritic
from r2d2.agent.device_batch import DeviceBatch
from r2d2.agent.losses import LOSSES, Priority, length_mask, sequence_loss
from r2d2.agent.method import NOISE, Backward, TDErrors, Unrolled
from r2d2.agent.policies import smoothed, soft_value, temperature_loss
from r2d2.agent.precision import autocast
from r2d2.agent.stages import stage
from r2d2.agent.targets import returns
from r2d2.agent.update import METRICS
from r2d2.agent.value_scale import ValueScale
from r2d2.config.learner import LearnerConfig

if TYPE_CHECKING:
    from r2d2.agent.learner import Learner


class _Found(NamedTuple):
    """What both losses need; time-major, [unroll, B] where nothing else is said."""

    unrolled: Unrolled
    q: Tensor  # [critics, unroll, B], with gradients
    target: Tensor
    log_probability: Tensor  # [unroll + n_step - 1, B] of the targets' actions; of a deterministic policy 0
    mask: Tensor


class PolicyLearning:
    """The method of an `ActorCritic`; see `agent.learner.Method`. `rng` draws the noise of the losses."""

    columns: tuple[str, ...] = ("action", "reward", "terminated")

    def __init__(
        self, config: LearnerConfig, priority: Priority, *, actions: int, rng: np.random.Generator
    ) -> None:
        self.config, self.priority, self.rng = config, priority, rng
        self.actions, self.stochastic = actions, config.method == "sac"
        self.value_scale: ValueScale | None = None
        self.metrics: tuple[str, ...] = (*METRICS, "entropy", "temperature") if self.stochastic else METRICS
        self.target_entropy = -float(actions) if config.target_entropy is None else config.target_entropy

    def noise(self, items: int, rows: int) -> NDArray[np.float32] | None:
        """Standard normal numbers for the actions of the targets and, if stochastic, of the policy's loss."""
        if self.config.method == "ddpg":
            return None
        sets = 2 if self.stochastic else 1
        return self.rng.standard_normal((items, rows, sets * self.actions), np.float32)

    def errors(self, learner: Learner, data: DeviceBatch) -> TDErrors:
        """TD errors and Q(s, a) of the critics' mean: what an actor records, and priorities are made of."""
        found = self._evaluate(learner, data)
        q = found.q.mean(0)
        return TDErrors(q - found.target, q, found.mask, found.unrolled.refreshed)

    def _evaluate(self, learner: Learner, data: DeviceBatch) -> _Found:
        network, _ = _networks(learner)
        rows = learner.trained_rows(data)
        action, reward, terminated = (learner.after_burn_in(data, name) for name in self.columns)
        with autocast(learner.precision, learner.device):
            unrolled = learner.unroll(data)
            q = network.q(unrolled.trained, action[:rows])
            with torch.no_grad():
                value, log_probability = self._values(learner, data, unrolled)
                value = torch.cat([torch.zeros_like(value[:1]), value])
        with torch.no_grad(), stage("targets"):
            end = data.length + data.lookahead - 1
            target = returns(
                reward, terminated, value, value, None, None, end, learner.layout.n_step, self.config
            )
        return _Found(unrolled, q, target, log_probability, length_mask(data.length, rows))

    def _values(self, learner: Learner, data: DeviceBatch, unrolled: Unrolled) -> tuple[Tensor, Tensor]:
        """What observations are worth to the target [unroll + n_step - 1, B], but for the first ones, from which no
        target bootstraps; and log probabilities of the actions there."""
        network, target_network = _networks(learner)
        outputs = unrolled.target[1:]
        if self.stochastic:
            online = torch.cat([unrolled.trained[1:], unrolled.lookahead])
            action, log_probability = network.sample(online, _noise(data)[1:, :, : self.actions])
            q = target_network.q(outputs, action)
            return soft_value(q, log_probability, network.temperature), log_probability
        action, c = target_network.action(outputs), self.config
        if c.method == "td3":
            action = smoothed(action, _noise(data)[1:], c.target_noise, c.target_noise_limit)
        value = target_network.q(outputs, action).amin(0)
        return value, torch.zeros_like(value)

    def backward(self, learner: Learner, data: DeviceBatch, *, items: int) -> Backward:
        """Adds the gradients of all losses. The sums are the critics' loss, |TD error|, Q(s, a), trained steps and,
        if stochastic, -log pi."""
        network, _ = _networks(learner)
        found = self._evaluate(learner, data)
        critics, policy, *temperature = learner.groups
        with stage("targets"):
            losses = LOSSES[self.config.loss](found.q - found.target).sum(0)
            loss = sequence_loss(losses, found.mask, data.weight, items)
        with stage("backward"):
            loss.backward(inputs=critics, retain_graph=True)
        if (learner.updates + 1) % self.config.policy_period == 0:
            with autocast(learner.precision, learner.device):
                losses, log_probability = self._policy_losses(learner, data, found.unrolled)
            moved = policy
            if self.stochastic and self.config.temperature == 0.0:
                moved = policy + temperature[0]
                losses = losses + temperature_loss(
                    network.log_temperature, log_probability, self.target_entropy
                )
            with stage("backward"):
                sequence_loss(losses, found.mask, data.weight, items).backward(inputs=moved)
        with torch.no_grad(), stage("priorities"):
            q, mask = found.q.mean(0), found.mask
            error = q - found.target
            sums = [loss.detach(), (error.abs() * mask).sum(), (q * mask).sum(), mask.sum()]
            if self.stochastic:
                sums += [
                    -(found.log_probability[: len(mask)] * mask).sum(),
                    network.temperature[0] * mask.sum(),
                ]
            return Backward(self.priority(error, mask), torch.stack(sums), found.unrolled.refreshed)

    def _policy_losses(
        self, learner: Learner, data: DeviceBatch, unrolled: Unrolled
    ) -> tuple[Tensor, Tensor]:
        """The policy's losses [unroll, B], and log probabilities where it is stochastic."""
        network, _ = _networks(learner)
        outputs = unrolled.trained
        if not self.stochastic:
            q = network.q(outputs.detach(), network.action(outputs))
            return -q[0], torch.zeros_like(q[0])
        noise = _noise(data)[: len(outputs), :, self.actions :]
        action, log_probability = network.sample(outputs, noise)
        q = network.q(outputs.detach(), action)
        return -soft_value(q, log_probability, network.temperature.detach()), log_probability

    def summary(self, sums: Tensor, norm: Tensor) -> Tensor:
        """See `Method.summary`."""
        loss, size, q_sum, count, *more = sums
        return torch.stack([loss, norm, size / count, q_sum / count, *(value / count for value in more)])

    def state_dict(self) -> dict[str, Any]:
        """The state of the noise."""
        return {"rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rng.bit_generator.state = state["rng"]


def _noise(data: DeviceBatch) -> Tensor:
    """The random numbers of the update, time-major [unroll + n_step, B, K]."""
    return data.columns[NOISE].transpose(0, 1)


def _networks(learner: Learner) -> tuple[ActorCritic, ActorCritic]:
    """The online and the target network, by the type that this method needs."""
    return cast(ActorCritic, learner.network), cast(ActorCritic, learner.target)
