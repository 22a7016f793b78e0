"""SAC, TD3 and DDPG along sequences: one update equals a twin in double precision, written step by step."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from control_cases import PRIORITY, SIZE, Control, outputs_along
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from r2d2.agent.actor_critic import ActorCritic
from r2d2.agent.learner import Learner
from r2d2.agent.targets import initial_priorities
from r2d2.types import Batch

SETUPS = {
    "sac": Control(),
    "sac, gru, long burn-in": Control(core="gru", burn_in=9, stack=1),
    "sac, shared core": Control(shared=True),
    "sac, lru": Control(core="lru", burn_in=0, n_step=5),
    "sac, mingru, zero states": Control(core="mingru", initial_state="zero"),
    "sac, feed-forward": Control(core="none", burn_in=0, unroll=1, period=1, n_step=1),
    "td3": Control("td3"),
    "td3, one trained step": Control("td3", unroll=1, period=1, burn_in=2, n_step=2),
    "td3, shared core": Control("td3", shared=True, core="gru"),
    "ddpg": Control("ddpg"),
    "ddpg, feed-forward": Control("ddpg", core="none", burn_in=0, unroll=1, period=1, n_step=3),
}


class Twin(NamedTuple):
    """Losses of a batch in double precision, with gradients, and what else an update says."""

    critics: Tensor
    policy: Tensor
    temperature: Tensor
    priorities: list[float]
    q: list[float]


def squash(u: Tensor) -> Tensor:
    return 2.0 * torch.sigmoid(2.0 * u) - 1.0


def log_density(mean: Tensor, deviation: Tensor, noise: Tensor) -> Tensor:
    """Of a squashed Gaussian: 1 - tanh(u)^2 = 4 sigmoid(2 u) sigmoid(-2 u)."""
    u = mean + deviation * noise
    gauss = -(noise**2) / 2 - torch.log(deviation) - math.log(2 * math.pi) / 2
    return (gauss - math.log(4) - logsigmoid(2 * u) - logsigmoid(-2 * u)).sum(-1)


def twin(learner: Learner, batch: Batch, setup: Control, noise: NDArray[np.float32] | None) -> Twin:
    """The losses from the articles' formulas, one item and one step at a time."""
    online, target = (copy.deepcopy(net).double() for net in (learner.network, learner.target))
    # gradients go to the double copy that the caller sees through these names
    learner.network.twin = online  # type: ignore[assignment]
    config, begin, n = learner.config, setup.burn_in, setup.n_step
    critics = policy = temperature = torch.zeros((), dtype=torch.float64)
    priorities, q_all = [], []
    for b in range(len(batch.ids)):
        length, end = int(batch.length[b]), int(batch.length[b] + batch.lookahead[b] - 1)
        along = outputs_along(online, batch, b, setup, gradient=True)
        with torch.no_grad():
            along_target = outputs_along(target, batch, b, setup, gradient=False)
            value = [0.0] + [bootstrap(online, target, along, along_target, begin, t, b, noise, setup, config)
                             for t in range(1, end + 1)]  # fmt: skip
        reward, terminated = (batch.columns[name][b, begin:].tolist() for name in ("reward", "terminated"))
        item, errors = [], []
        for t in range(length):
            goal, keep, k = 0.0, 1.0, 0
            while k < n and t + k < end:
                goal += keep * reward[t + k]
                keep *= config.discount * (not terminated[t + k])
                k += 1
            goal += keep * value[t + k]
            action = torch.from_numpy(batch.columns["action"][b, begin + t]).double()[None]
            outputs = along[begin + t]
            q = torch.cat(
                [critic(parts(online, outputs, 1 + i), action) for i, critic in enumerate(online.critics)]
            )
            item.append(0.5 * (q - goal).square().sum())
            errors.append(float(q.detach().mean()) - goal)
            q_all.append(float(q.detach().mean()))
            p, t_loss = policy_losses(online, outputs, b, t, noise, setup, config)
            weight = float(batch.weight[b]) / len(batch.ids)
            policy, temperature = policy + weight * p, temperature + weight * t_loss
        critics = critics + float(batch.weight[b]) / len(batch.ids) * sum(item)
        size = [abs(error) for error in errors]
        priorities.append(0.7 * max(size) + 0.3 * sum(size) / len(size))
    return Twin(critics, policy, temperature, priorities, q_all)


def parts(network: ActorCritic, outputs: Tensor, number: int) -> Tensor:
    return outputs if network.shared else outputs.split(network.width, -1)[number]


def bootstrap(online: ActorCritic, target: ActorCritic, along: Any, along_target: Any, begin: int, t: int, b: int,
              noise: NDArray[np.float32] | None, setup: Control, config: Any) -> float:  # fmt: skip
    seen, kept = along[begin + t], along_target[begin + t]
    entropy = 0.0
    if setup.stochastic:
        assert noise is not None
        mean, log_deviation = online.policy(parts(online, seen, 0))
        e = torch.from_numpy(noise[b, t, :SIZE]).double()
        action = squash(mean + log_deviation.exp() * e)
        entropy = float(online.log_temperature.exp() * log_density(mean, log_deviation.exp(), e))
    else:
        action = squash(target.policy.action(target.policy.hidden(parts(target, kept, 0))))
        if setup.method == "td3":
            assert noise is not None
            added = [max(-0.5, min(0.5, 0.2 * x)) for x in noise[b, t].tolist()]
            moved = [a + x for a, x in zip(action[0].tolist(), added, strict=True)]
            action = torch.tensor([[max(-1.0, min(1.0, a)) for a in moved]], dtype=torch.float64)
    q = [float(critic(parts(target, kept, 1 + i), action)) for i, critic in enumerate(target.critics)]
    return min(q) - entropy


def policy_losses(online: ActorCritic, outputs: Tensor, b: int, t: int, noise: NDArray[np.float32] | None,
                  setup: Control, config: Any) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Of one step: the critics are constants, and so is a core that they share with the policy."""
    fixed = copy.deepcopy(online.critics).requires_grad_(False)
    own = parts(online, outputs, 0)
    own = own.detach() if online.shared else own

    def q(action: Tensor) -> list[Tensor]:
        return [critic(parts(online, outputs, 1 + i).detach(), action) for i, critic in enumerate(fixed)]

    if not setup.stochastic:
        return -q(squash(online.policy.action(online.policy.hidden(own))))[0].sum(), torch.zeros(())
    assert noise is not None
    e = torch.from_numpy(noise[b, t, SIZE:]).double()
    mean, log_deviation = online.policy(own)
    log_probability = log_density(mean, log_deviation.exp(), e).sum()
    lower = torch.cat(q(squash(mean + log_deviation.exp() * e))).min()
    temperature = float(online.log_temperature.exp())
    target_entropy = -float(SIZE)
    raised = -(online.log_temperature * (log_probability.detach() + target_entropy)).sum()
    return temperature * log_probability - lower, raised


def adam_step(parameter: Tensor, gradient: Tensor, config: Any) -> Tensor:
    """The first step of Adam: both moments are corrected for their start, so it is g / (|g| + eps)."""
    return parameter - config.learning_rate * gradient / (gradient.abs() + config.adam_epsilon)


def known_noise(setup: Control, batch: Batch) -> NDArray[np.float32] | None:
    """What the learner's generator will draw next."""
    if setup.method == "ddpg":
        return None
    shape = (len(batch.ids), setup.unroll + setup.n_step, (2 if setup.stochastic else 1) * SIZE)
    return np.random.default_rng(5).standard_normal(shape, np.float32)


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
def test_an_update_equals_its_twin(setup: Control) -> None:
    """Targets, losses, weights, priorities, the gradients of all groups and the step that they lead to."""
    learner, batch = setup.case()
    wanted = twin(learner, batch, setup, known_noise(setup, batch))
    online: ActorCritic = learner.network.twin  # type: ignore[assignment]
    del learner.network.twin
    groups = online.groups()
    losses = [wanted.critics, wanted.policy, wanted.temperature]
    expected = []
    for loss, group in zip(losses, groups, strict=False):
        gradients = torch.autograd.grad(loss, group, allow_unused=True, retain_graph=True)
        expected += [
            (p.detach(), g) if g is not None else (p.detach(), torch.zeros_like(p))
            for p, g in zip(group, gradients, strict=True)
        ]
    update = learner.update(batch)
    assert update.metrics["loss"] == pytest.approx(float(wanted.critics), rel=1e-5)
    np.testing.assert_allclose(update.priorities, wanted.priorities, rtol=1e-4, atol=1e-5)
    assert update.metrics["q_mean"] == pytest.approx(np.mean(wanted.q), rel=1e-4, abs=1e-5)
    found = [p for group in learner.network.groups() for p in group]
    assert len(found) == len(expected) == len(list(learner.network.parameters()))
    moved = 0
    for own, (before, gradient) in zip(found, expected, strict=True):
        if gradient.abs().max() > 0:
            moved += 1
            assert own.grad is not None
            scale = float(gradient.abs().max())
            np.testing.assert_allclose(own.grad, gradient, rtol=1e-4, atol=1e-5 * max(1.0, scale))
        np.testing.assert_allclose(own.detach(), adam_step(before, gradient, learner.config), atol=1e-5)
    assert moved > 0.8 * len(found)


ALIGNED = [name for name, setup in SETUPS.items() if setup.initial_state == "stored"]


@pytest.mark.parametrize("name", ALIGNED)
def test_what_the_actor_recorded_is_what_the_learner_finds_at_equal_weights(name: str) -> None:
    """Log probabilities and Q values of first, middle and last items, from their stored states and burn-in."""
    setup = SETUPS[name]
    network = setup.network()
    batch = setup.items(network)
    learner = setup.learner(network)
    with torch.no_grad():
        _, q, mask, _ = learner.errors(batch)
        outputs = learner.unroll(learner.transfer(batch)).trained
        valid = mask.numpy() > 0
        window = slice(setup.burn_in, setup.burn_in + setup.unroll)
        np.testing.assert_allclose(
            q.numpy()[valid], batch.columns["q_taken"][:, window].T[valid], rtol=1e-5, atol=1e-5
        )
        assert len(set(batch.length.tolist())) > 1 or setup.unroll == 1
        if setup.stochastic:
            from r2d2.agent.policies import action_log_probability

            action = torch.from_numpy(batch.columns["action"][:, window]).transpose(0, 1)
            found = action_log_probability(*network.distribution(outputs), action).numpy()
            recorded = batch.columns["log_probability"][:, window].T
            np.testing.assert_allclose(found[valid], recorded[valid], rtol=1e-4, atol=1e-4)


def test_an_actors_priorities_are_those_of_the_learner_but_for_the_noise() -> None:
    """Without noise on either side they are equal: one formula, one function."""
    setup = Control("ddpg")
    network = setup.network()
    batch = setup.items(network, epsilon=0.3)
    learner = setup.learner(network)
    with torch.no_grad():
        error, _, mask, _ = learner.errors(batch)
    from_actor = initial_priorities(batch, learner.config, setup.layout, PRIORITY)
    np.testing.assert_allclose(from_actor, PRIORITY(error, mask).numpy(), rtol=1e-4, atol=1e-5)


def test_the_policy_waits_for_its_period_and_the_critics_do_not() -> None:
    setup = Control("td3")
    learner, batch = setup.case(policy_period=2)
    critics, policy = ([p.detach().clone() for p in group] for group in learner.network.groups())
    learner.update(batch)
    after = learner.network.groups()
    assert any(not torch.equal(a, b) for a, b in zip(critics, after[0], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(policy, after[1], strict=True))
    learner.update(batch)
    assert any(not torch.equal(a, b) for a, b in zip(policy, learner.network.groups()[1], strict=True))


def test_a_shared_core_is_trained_by_the_critics_alone() -> None:
    setup = Control("td3", shared=True)
    learner, _ = setup.case()
    critics, policy = learner.network.groups()
    core = {id(p) for trunk in learner.network.trunks for p in trunk.parameters()}
    assert core <= {id(p) for p in critics}
    assert not core & {id(p) for p in policy}


def test_a_truncated_episode_bootstraps_and_a_terminated_one_does_not() -> None:
    """The same items, once with every ending terminated and once truncated: only the first forgets the future."""
    setup = Control("ddpg")
    learner, batch = setup.case()
    ends = (batch.columns["terminated"] | batch.columns["truncated"]).any()
    assert ends
    found = {}
    for flag in (False, True):
        over = batch.columns["terminated"] | batch.columns["truncated"]
        columns = dict(batch.columns) | {"terminated": over & flag}
        with torch.no_grad():
            error, q, _, _ = learner.errors(dataclasses.replace(batch, columns=columns))
        found[flag] = (q - error).numpy()
    assert np.abs(found[True] - found[False]).max() > 0.01


def test_the_fixed_temperature_stays() -> None:
    learner, batch = Control().case(temperature=0.5)
    before = learner.network.log_temperature.detach().clone()
    update = learner.update(batch)
    assert torch.equal(before, learner.network.log_temperature)
    assert update.metrics["temperature"] == pytest.approx(float(before.exp()), rel=1e-6)


def test_the_parts_of_a_batch_make_the_same_update() -> None:
    whole, batch = Control().case()
    parts_of_it, _ = Control().case(gradient_accumulation_steps=3)
    one, other = whole.update(batch), parts_of_it.update(batch)
    np.testing.assert_allclose(one.priorities, other.priorities, rtol=1e-5)
    for a, b in zip(whole.network.parameters(), parts_of_it.network.parameters(), strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), atol=1e-5)


def test_a_learner_goes_on_with_the_noise_where_it_was() -> None:
    """And so with the same parameters, bit for bit."""
    learner, batch = Control().case()
    learner.update(batch)
    saved = copy.deepcopy(learner.state_dict())
    learner.update(batch)
    other, _ = Control().case()
    other.load_state_dict(saved)
    other.update(batch)
    for a, b in zip(learner.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(a, b)
