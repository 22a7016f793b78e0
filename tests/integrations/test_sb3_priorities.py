"""Prioritized draws in SB3: exact TD errors come back, and its optimizer gets the gradient of the weighted loss."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

pytest.importorskip("stable_baselines3")

from stable_baselines3 import A2C, DDPG, DQN, SAC, TD3
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.utils import LinearSchedule

from r2d2.integrations.sb3 import PrioritizedLoss, ReplayBuffer
from tests.integrations.sb3_cases import ACTIONS, BOX, Script

ALGORITHMS = {"DDPG": DDPG, "TD3": TD3, "SAC": SAC, "DQN": DQN}
GAMMA = 0.9
STEPS = 60


def make(name: str, *, kind: Any = None, n_envs: int = 1, n_steps: int = 1, **more: Any) -> Any:
    env = make_vec_env("CartPole-v1" if name == "DQN" else "Pendulum-v1", n_envs=n_envs, seed=0)
    buffer = {"selector": "proportional", "n_steps": n_steps, "gamma": GAMMA} | more
    noise = {"target_policy_noise": 0.0} if name == "TD3" else {}
    return (kind or ALGORITHMS[name])(
        "MlpPolicy",
        env,
        seed=1,
        device="cpu",
        buffer_size=200,
        learning_starts=STEPS,
        batch_size=16,
        train_freq=4,
        gradient_steps=2,
        gamma=GAMMA,
        policy_kwargs={"net_arch": [16]},
        replay_buffer_class=ReplayBuffer,
        replay_buffer_kwargs=buffer,
        **noise,
    )


class Watched(PrioritizedLoss):
    """Keeps the last batch and the priorities it got."""

    def drawn(self, samples: Any, ids: Any, weight: Any) -> None:
        super().drawn(samples, ids, weight)
        self.samples, self.ids, self.weight = samples, ids, weight


def filled(name: str, *, n_steps: int) -> tuple[Any, Watched]:
    """A model that has not trained yet, with steps of all priorities in its buffer, and the callback at work."""
    model, callback = make(name, n_steps=n_steps), Watched(beta=0.7)
    model.learn(STEPS, callback=callback)
    ids = model.replay_buffer.ids[:STEPS, 0]
    model.replay_buffer.update_priorities(ids, np.random.default_rng(0).random(STEPS) * 5)
    callback.on_training_start({}, {})
    return model, callback


def weighted_step(model: Any, policy: Any, callback: Watched, weight: torch.Tensor) -> torch.Tensor:
    """One step on the weighted loss, written out, by the networks before training; returns |TD| [B]."""
    samples = callback.samples
    gamma = GAMMA if samples.discounts is None else samples.discounts
    with torch.no_grad():
        if isinstance(model, DQN):
            value = policy.q_net_target(samples.next_observations).max(1, keepdim=True).values
        elif isinstance(model, SAC):
            policy.actor.action_log_prob(samples.observations)  # SB3 draws the actor's actions first
            action, log_prob = policy.actor.action_log_prob(samples.next_observations)
            value = torch.cat(policy.critic_target(samples.next_observations, action), 1).amin(
                1, keepdim=True
            )
            value = value - log_prob[:, None]  # the temperature is 1 before training
        else:
            action = policy.actor_target(samples.next_observations)
            value = torch.cat(policy.critic_target(samples.next_observations, action), 1).amin(
                1, keepdim=True
            )
        target = samples.rewards + gamma * (1 - samples.dones) * value
    if isinstance(model, DQN):
        values = [policy.q_net(samples.observations).gather(1, samples.actions)]
        losses = [functional.smooth_l1_loss(values[0], target, reduction="none")]
        owner, most = policy, model.max_grad_norm
    else:
        values = list(policy.critic(samples.observations, samples.actions))
        scale = 0.5 if isinstance(model, SAC) else 1.0
        losses = [scale * (value - target) ** 2 for value in values]
        owner, most = policy.critic, float("inf")
    loss = sum((weight[:, None] * part).mean() for part in losses)
    owner.optimizer.zero_grad()
    assert isinstance(loss, torch.Tensor)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(owner.parameters(), most)
    owner.optimizer.step()
    return torch.stack([(value - target).abs()[:, 0] for value in values]).amax(0).detach()


def critic(policy: Any) -> torch.Tensor:
    module = policy.q_net if hasattr(policy, "q_net") else policy.critic
    return torch.cat([parameter.flatten() for parameter in module.parameters()])


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_one_training_step_is_that_of_the_weighted_loss(name: str, n_steps: int) -> None:
    """Against a loss written out. Errors reach the items that were drawn, weights the gradient."""
    model, callback = filled(name, n_steps=n_steps)
    by_hand, unweighted = deepcopy(model.policy), deepcopy(model.policy)
    torch.manual_seed(3)
    model.train(gradient_steps=1, batch_size=16)
    weight = torch.from_numpy(callback.weight)
    assert weight.max() == 1.0
    assert weight.min() < 0.7
    torch.manual_seed(3)
    errors = weighted_step(model, by_hand, callback, weight)
    torch.manual_seed(3)
    weighted_step(model, unweighted, callback, torch.ones(16))
    torch.testing.assert_close(critic(model.policy), critic(by_hand), rtol=1e-5, atol=1e-6)
    assert (critic(model.policy) - critic(unweighted)).abs().max() > 1e-5
    places = callback.ids % model.replay_buffer.replay.capacity
    got = model.replay_buffer.replay.selector.values(places)
    last = dict(zip(places.tolist(), errors.tolist(), strict=True))  # of an item that was drawn twice
    np.testing.assert_allclose(got, [(last[place] + 1e-6) ** 0.6 for place in places.tolist()], rtol=1e-4)
    callback.on_training_end()


class Silent(BaseCallback):
    """Takes the batches and does nothing."""

    beta = 0.4

    def _on_training_start(self) -> None:
        self.model.replay_buffer.learner = self  # type: ignore[attr-defined]

    def drawn(self, samples: Any, ids: Any, weight: Any) -> None:
        pass

    def _on_step(self) -> bool:
        return True


@pytest.mark.parametrize("name", ALGORITHMS)
def test_weights_of_one_change_no_bit(name: str) -> None:
    """alpha = 0: what the callback does for weights and errors leaves SB3's training as it is."""
    models = []
    for callback in (PrioritizedLoss(), Silent()):
        models.append(
            make(name, n_envs=2, alpha=0.0).learn(140, callback=callback)
        )  # each seeds all generators
        assert models[-1]._n_updates >= 18
    pairs = zip(models[0].policy.parameters(), models[1].policy.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("selector", ["proportional", "rank"])
def test_what_has_a_high_priority_is_drawn(selector: Any) -> None:
    """After several turns of the ring, in every slot and environment, also while episodes end."""
    buffer = ReplayBuffer(
        24, BOX, ACTIONS["discrete"], device="cpu", n_envs=3, selector=selector, alpha=1.0, seed=0
    )

    class Told:
        beta = 1.0

        def drawn(self, samples: Any, ids: Any, weight: Any) -> None:
            self.ids, self.weight = ids, weight

    buffer.learner = told = Told()
    script = Script(BOX, ACTIONS["discrete"], n_envs=3)
    for turn in range(30):
        rewards = next(iter(script.steps(1)))
        buffer.add(*rewards)
        slot, env = buffer.pos - 1, turn % 3
        everything = buffer.ids[: buffer.size()].reshape(-1)
        buffer.update_priorities(everything, np.full(len(everything), 1e-3))
        buffer.update_priorities(buffer.ids[[slot], [env]], np.array([1.0]))
        if selector == "rank":
            buffer.replay.selector._sort()  # type: ignore[attr-defined]
        samples: Any = buffer.sample(64)
        chosen = told.ids == buffer.ids[slot, env]
        assert chosen.mean() > (0.9 if selector == "proportional" else 0.2)
        wanted = torch.tensor(rewards[3][env])
        assert (samples.rewards[:, 0][torch.from_numpy(chosen)] == wanted).all()
        assert told.weight[chosen].max() <= told.weight[~chosen].min() if not chosen.all() else True


def test_beta_follows_the_remaining_progress() -> None:
    seen = []

    class Noted(PrioritizedLoss):
        def drawn(self, samples: Any, ids: Any, weight: Any) -> None:
            seen.append(self.beta)
            super().drawn(samples, ids, weight)

    model = make("DQN", n_steps=1)
    model.learn(120, callback=Noted(beta=LinearSchedule(0.4, 1.0, 1.0)))
    assert seen[0] == pytest.approx(0.4 + 0.6 * 64 / 120)
    assert seen[-1] == 1.0
    assert seen == sorted(seen)


def test_learning_goes_on_with_a_callback_of_its_own_and_not_without() -> None:
    model = make("DQN")
    for _ in range(2):
        model.learn(80, callback=PrioritizedLoss(), reset_num_timesteps=False)
    assert model._n_updates == 50
    assert not model.q_net._forward_hooks
    with pytest.raises(RuntimeError, match="callback=PrioritizedLoss"):
        model.learn(80, reset_num_timesteps=False)


class Double(DQN):
    """A `train` of its own with one of several losses; `errors` are the TD errors of its last batch."""

    kind = "torch"

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        samples: Any = self.replay_buffer.sample(batch_size)  # type: ignore[union-attr]
        with torch.no_grad():
            best = self.q_net(samples.next_observations).argmax(1, keepdim=True)
            value = self.q_net_target(samples.next_observations).gather(1, best)
            target = samples.rewards + (1 - samples.dones) * self.gamma * value
        q = self.q_net(samples.observations).gather(1, samples.actions)
        self.errors = (target - q).detach().abs()[:, 0]
        match self.kind:
            case "torch":
                functional.mse_loss(q.detach(), target + 1.0)  # for a log: nothing is learned from it
                loss = functional.smooth_l1_loss(q, target)
            case "module":
                loss = torch.nn.MSELoss()(target, q)
            case "by hand":
                loss = ((target - q) ** 2).mean()
            case "broadcast":
                loss = functional.mse_loss(q, target[:, 0])
            case _:
                loss = self.q_net(samples.observations).mean() * 0.0
        self.policy.optimizer.zero_grad()
        loss.backward()
        self.policy.optimizer.step()


@pytest.mark.parametrize("kind", ["torch", "module"])
def test_priorities_are_the_errors_of_the_loss_of_a_subclass_too(kind: str) -> None:
    """Double DQN's targets are not those that DQN would have."""
    model, callback = make("DQN", kind=Double), Watched(beta=0.7)
    model.kind = kind
    model.learn(200, callback=callback)  # until both networks differ
    callback.on_training_start({}, {})
    with torch.no_grad():
        for parameter in model.q_net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    before = critic(model.policy).clone()
    model.train(gradient_steps=1, batch_size=16)
    assert (critic(model.policy) - before).abs().max() > 1e-5
    with torch.no_grad():
        single = model.q_net_target(callback.samples.next_observations).max(1).values
        best = model.q_net(callback.samples.next_observations).argmax(1, keepdim=True)
        double = model.q_net_target(callback.samples.next_observations).gather(1, best)[:, 0]
    assert (single - double).abs().max() > 1e-3
    places = (callback.ids % model.replay_buffer.replay.capacity).tolist()
    last = dict(zip(places, model.errors.tolist(), strict=True))
    got = model.replay_buffer.replay.selector.values(np.array(places))
    np.testing.assert_allclose(got, [(last[place] + 1e-6) ** 0.6 for place in places], rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "by hand",
            "training step of Double did not pass its batch through the critic and from there into one of",
        ),
        ("nothing", "training step of Double did not pass its batch through the critic"),
        ("broadcast", r"must compare one Q value .* 16 items, got \(16, 1\) and \(16,\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_a_training_step_whose_errors_cannot_be_known_is_refused(kind: str, message: str) -> None:
    model = make("DQN", kind=Double)
    model.kind = kind
    with pytest.raises(RuntimeError, match=message):
        model.learn(80, callback=PrioritizedLoss())


def test_returns_that_are_not_the_models_are_refused() -> None:
    """A model's own n_steps and gamma do not reach a buffer that is given by class."""
    model = make("DQN", n_steps=1)
    model.n_steps = 3
    with pytest.raises(
        ValueError, match=r'n_steps=3 of the model has no effect .*"n_steps": 3, "gamma": 0.9'
    ):
        model.learn(80, callback=PrioritizedLoss())
    model = make("DQN", n_steps=3)
    model.gamma = 0.5
    with pytest.raises(ValueError, match="gamma of the n-step returns must be the model's 0.5, got 0.9"):
        model.learn(80, callback=PrioritizedLoss())


def test_what_cannot_be_weighted_is_refused() -> None:
    with pytest.raises(ValueError, match=r"beta must be in \[0, 1\].*got 1.5"):
        PrioritizedLoss(beta=1.5)
    with pytest.raises(TypeError, match="for DQN, DDPG, TD3 and SAC, got A2C"):
        A2C("MlpPolicy", "CartPole-v1", device="cpu").learn(1, callback=PrioritizedLoss())
    for arguments in ({}, {"replay_buffer_class": ReplayBuffer}):
        model = DQN("MlpPolicy", "CartPole-v1", device="cpu", buffer_size=50, **arguments)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match='"selector": "proportional"'):
            model.learn(1, callback=PrioritizedLoss())
