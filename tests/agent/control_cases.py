"""Continuous control for the proofs: tiny actor-critics with large weights, and the items that they played."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from helpers import EPISODES, Ending, ScriptedEnvironments, play, select
from torch import Tensor

from r2d2.agent.actor import Actor
from r2d2.agent.actor_critic import ActorCritic
from r2d2.agent.learner import InitialState, Learner
from r2d2.agent.losses import Priority
from r2d2.agent.policy_learning import PolicyLearning
from r2d2.config.learner import LearnerConfig
from r2d2.config.network import NetworkConfig
from r2d2.config.parts import CoreName
from r2d2.replay import Fifo, Proportional, Replay, Sequencer
from r2d2.types import OBSERVATION, Batch, ObservationSpec, SequenceLayout, step_columns

SIZE = 2  # numbers of an action
PRIORITY = Priority(eta=0.7)
MethodName = Literal["sac", "td3", "ddpg"]


@dataclass(frozen=True)
class Control:
    """What actor, replay and learner of a small continuous agent have to agree about."""

    method: MethodName = "sac"
    core: CoreName = "lstm"
    shared: bool = False
    burn_in: int = 4
    unroll: int = 6
    n_step: int = 3
    period: int = 4
    stack: int = 2
    environments: int = 3
    episodes: tuple[Ending, ...] = EPISODES
    initial_state: InitialState = "stored"

    @property
    def stochastic(self) -> bool:
        return self.method == "sac"

    @property
    def critics(self) -> int:
        return 1 if self.method == "ddpg" else 2

    @property
    def layout(self) -> SequenceLayout:
        return SequenceLayout(self.burn_in, self.unroll, self.n_step, self.period, self.stack - 1)

    def network(self, seed: int = 0) -> ActorCritic:
        """Random weights, twice as large as usual so that states, stacks and inputs all matter."""
        config = NetworkConfig(
            stack=self.stack, features=8, core=self.core, core_width=5, hidden=8, shared_core=self.shared
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = ActorCritic(
                {OBSERVATION: ObservationSpec((3,))},
                SIZE,
                config,
                critics=self.critics,
                stochastic=self.stochastic,
            )
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(2.0)
            if self.stochastic:
                network.log_temperature.fill_(-1.0)
        return network

    def items(self, network: ActorCritic, *, steps: int = 120, epsilon: float = 0.3) -> Batch:
        """All items that this network has played, with its own recorded numbers."""
        environments = ScriptedEnvironments(self.environments, (3,), "float32", self.episodes)
        actor = Actor(environments, network, rng=np.random.default_rng(0))
        actor.epsilon[:], actor.noise = epsilon, 1.0 if self.stochastic else 0.2
        actor.reset(0)
        sequencer = Sequencer(self.environments, **self.layout._asdict(), core_size=network.core_size)
        capacity = self.environments * sequencer.items_at_once + 100
        columns = step_columns(
            network.inputs.observations,
            codec="raw",
            stack=self.stack,
            action_size=SIZE,
            log_probability=self.stochastic,
        )
        replay = Replay(
            columns, streams=self.environments, sequencer=sequencer, selector=Proportional(capacity),
            remover=Fifo(capacity), capacity=capacity, steps=150, block=5, core_size=network.core_size,
            linked=self.initial_state == "refreshed",
        )  # fmt: skip
        ids = np.concatenate(list(play(actor, replay, steps)))
        return replay.get(ids[-len(replay) :])

    def learner(self, network: ActorCritic, **changes: Any) -> Learner:
        """Changes are of `LearnerConfig`."""
        config = LearnerConfig(
            method=self.method, discount=0.9, learning_rate=1e-3, max_grad_norm=0.0, target_period=1000,
            rescaling=False,
        )  # fmt: skip
        config = dataclasses.replace(config, **changes)
        rng = np.random.default_rng(5)
        method = PolicyLearning(config, PRIORITY, actions=SIZE, rng=rng)
        return Learner(
            network, config, self.layout, PRIORITY, method=method, initial_state=self.initial_state
        )

    def case(self, items: int = 12, **changes: Any) -> tuple[Learner, Batch]:
        """A learner whose target network differs from the online one, and items of all kinds of a third."""
        batch = self.items(self.network(0), steps=80)
        learner = self.learner(self.network(1), **changes)
        learner.target.load_state_dict(self.network(2).state_dict())
        chosen = np.linspace(0, len(batch.ids) - 1, items).astype(int)
        weight = np.linspace(0.2, 1, items, dtype=np.float32)
        return learner, dataclasses.replace(select(batch, chosen), weight=weight)


def outputs_along(
    network: ActorCritic, batch: Batch, b: int, setup: Control, *, gradient: bool
) -> dict[int, Tensor]:
    """Core outputs [1, W] of item b's trained and lookahead rows, one step after the other from its core state.

    Written apart from the learner: rows, stacks and states are taken one at a time. The burn-in has no gradient.
    """
    dtype = next(network.parameters()).dtype
    core = torch.from_numpy(batch.core[b : b + 1]).to(dtype)
    if setup.initial_state == "zero":
        core = torch.zeros_like(core)
    found = {}
    first = setup.burn_in - int(batch.burn_in[b])
    for row in range(first, setup.burn_in + int(batch.length[b]) + int(batch.lookahead[b])):
        with torch.set_grad_enabled(gradient and setup.burn_in <= row < setup.burn_in + int(batch.length[b])):
            frames = batch.columns["observation"][b, row : row + setup.stack].reshape(1, -1)
            previous = torch.from_numpy(batch.columns["previous_action"][b, row : row + 1]).to(dtype)
            reward = torch.from_numpy(batch.columns["previous_reward"][b, row : row + 1]).to(dtype)
            outputs = []
            states = []
            n = len(network.trunks)
            for trunk, state in zip(network.trunks, core.chunk(n, -1), strict=True):
                features = trunk.torso(torch.from_numpy(frames).to(dtype))
                seen = torch.cat([features, previous, reward[:, None]], -1)
                out, after = trunk.core.unroll(seen[None], state)
                outputs.append(out[0])
                states.append(after)
            core = torch.cat(states, -1)
            found[row] = torch.cat(outputs, -1)
    return found
