"""Config -> agents: device, network, learner, actor and their random numbers."""

from __future__ import annotations

import math
import os
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from r2d2.agent import actor_critic
from r2d2.agent.actor import Actor, Environments, epsilon_ladder
from r2d2.agent.actor_critic import ActorCritic, AgentNetwork
from r2d2.agent.cores import state_size
from r2d2.agent.frozen import frozen_size
from r2d2.agent.inputs import InputLayout
from r2d2.agent.learner import Learner
from r2d2.agent.losses import Priority
from r2d2.agent.method import Method
from r2d2.agent.networks import QNetwork
from r2d2.agent.policy_learning import PolicyLearning
from r2d2.agent.resets import Resets
from r2d2.agent.torsos import torso_name
from r2d2.config import Config
from r2d2.envs.observations import Part
from r2d2.envs.vector import EnvError, EnvSpec
from r2d2.replay import RateLimiter
from r2d2.types import Column, ObservationSpec, SequenceLayout, step_columns

# Purposes of random numbers. Each has child seeds of its own, derived from the run's seed, so no two streams are
# equal. A relabeler adds the number of its replay to its purpose.
ACTING, SAMPLING, ENVIRONMENTS, EVALUATION = range(4)
REMOVING, RELABELING, LEARNING, RESETTING = 100, 101, 200, 201


def child_seed(seed: int, *key: int) -> int:
    """A seed below 2^30 for one purpose, from the run's seed."""
    return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1)[0] >> 2)


def generator(seed: int, *key: int) -> np.random.Generator:
    """A generator for one purpose, from the run's seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def device(config: Config) -> torch.device:
    """The device that `run.device` names; auto takes CUDA, then MPS, then the CPU."""
    name = config.run.device
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(name)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"run.device {name!r} cannot be used here ({error}): try --run.device cpu") from None
    return chosen


def observations(config: Config, spec: EnvSpec) -> dict[str, ObservationSpec]:
    """The observation columns of an environment, and what the network sees of each."""
    return {part.name: _observation(config, part, spec) for part in spec.parts}


def _observation(config: Config, part: Part, spec: EnvSpec) -> ObservationSpec:
    hidden = 0 if spec.goals is None else spec.goals.size
    bounded = part.bounded
    scaled = part.kind != "vector" or part.dtype == "uint8" or config.network.scale_vectors
    if not (scaled and bounded.any()):
        return ObservationSpec(part.shape, part.dtype, part.kind, hidden)
    low = np.where(bounded, part.low, -np.inf).tolist()
    high = np.where(bounded, part.high, np.inf).tolist()
    return ObservationSpec(part.shape, part.dtype, part.kind, hidden, tuple(low), tuple(high))


def describe_observations(config: Config, spec: EnvSpec) -> list[str]:
    """A line for each part of an observation: how it is interpreted, and which torso encodes it."""
    seen = observations(config, spec)
    return [f"{part}, seen by torso {torso_name(seen[part.name], config.network)}" for part in spec.parts]


def network(config: Config, spec: EnvSpec, *, seed: int | None = None) -> AgentNetwork:
    """The networks for observations of one step; their initial weights depend on `run.seed` alone, or on `seed`.

    They do not see the achieved goal of a goal environment. Raises EnvError if the method is for the other kind of
    actions.
    """
    check_actions(config, spec)
    check_context(config, spec)
    seen, c = observations(config, spec), config.learner
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.run.seed if seed is None else seed)
        if c.method == "q_learning":
            return QNetwork(seen, spec.num_actions, config.network, rescaling=c.rescaling)
        made = ActorCritic(
            seen, spec.action_size, config.network, critics=critics(config), stochastic=c.method == "sac"
        )
        if c.method == "sac" and c.temperature:
            torch.nn.init.constant_(made.log_temperature, math.log(c.temperature))
        return made


def check_actions(config: Config, spec: EnvSpec) -> None:
    """Raise EnvError, which names presets that would do, if the method is for the other kind of actions."""
    method = config.learner.method
    if method == "q_learning" and spec.action_size:
        raise EnvError(
            f"{spec.id} takes vectors of {spec.action_size} as actions, learner.method q_learning counts them: "
            "use preset sac, td3 or ddpg, or with memory rsac, rtd3 or rdpg"
        )
    if method != "q_learning" and not spec.action_size:
        raise EnvError(
            f"{spec.id} has {spec.num_actions} actions to choose from, learner.method {method} makes vectors: "
            "use preset dqn or r2d2, or memory on a small task"
        )


def check_context(config: Config, spec: EnvSpec) -> None:
    """Raise EnvError if the context is frozen and there is nothing that a frozen encoder could save."""
    if config.network.context == "frozen" and all(part.kind == "vector" for part in spec.parts):
        raise EnvError(
            f"{spec.id} has vectors as observations, network.context frozen saves the convolutions over frames and "
            "grids: use --network.context learned"
        )


def critics(config: Config) -> int:
    """The number of critics of the method, 0 for Q-learning."""
    return {"q_learning": 0, "ddpg": 1}.get(config.learner.method, 2)


def core_size(config: Config) -> int:
    """The size of the networks' core state, in floats; no network is built."""
    count = critics(config)
    cores = actor_critic.trunks(count, shared=config.network.shared_core) if count else 1
    return cores * state_size(config.network)


def input_layout(config: Config, spec: EnvSpec) -> InputLayout:
    """What the networks read at each step."""
    frozen = frozen_size(len(spec.parts), config.network)
    return InputLayout(observations(config, spec), config.network.stack, spec.action_size, frozen)


def columns(config: Config, spec: EnvSpec, *, stack: int) -> dict[str, Column]:
    """What replay stores of each step; observations are stacks of `stack` rows."""
    return step_columns(
        observations(config, spec),
        codec=config.replay.codec,
        stack=stack,
        action_size=spec.action_size,
        log_probability=config.learner.method == "sac" or config.learner.records_behavior,
        frozen_features=frozen_size(len(spec.parts), config.network),
        burn_in=config.replay.burn_in,
    )


def resolved(config: Config, spec: EnvSpec) -> Config:
    """The config with the values derived from the environment or from other fields: `unroll`, `period` and no
    burn-in where items are whole episodes, and `batch` with `batch_steps`."""
    config = _whole_episodes(config, spec)
    batch = max(config.learner.batch, config.learner.batch_steps // config.replay.unroll)
    return replace(config, learner=replace(config.learner, batch=batch))


def _whole_episodes(config: Config, spec: EnvSpec) -> Config:
    r, longest = config.replay, spec.max_episode_steps
    if r.initial_state != "episode":
        return config
    if longest is None:
        raise ValueError(
            f"replay.initial_state episode needs a longest episode, which {config.env.id} does not have: set one "
            "with --env.options max_episode_steps=N, or use --replay.initial-state stored"
        )
    if r.unroll >= longest:
        return replace(config, replay=replace(r, burn_in=0))
    return replace(config, replay=replace(r, burn_in=0, unroll=longest, period=longest))


def layout(config: Config) -> SequenceLayout:
    """How streams are cut into items."""
    r = config.replay
    return SequenceLayout(r.burn_in, r.unroll, r.n_step, r.period, context=config.network.stack - 1)


def priority(config: Config) -> Priority:
    """The priority of an item with these TD errors."""
    return Priority(config.replay.priority, config.replay.eta)


def resets(config: Config, spec: EnvSpec) -> Resets | None:
    """The resets that a learner makes, if any; the n-th of a run draws the same weights every time."""
    if not config.learner.reset_period:
        return None
    seed = config.run.seed
    return Resets(config.learner, lambda n: network(config, spec, seed=child_seed(seed, RESETTING, n)))


def learner(
    config: Config, net: AgentNetwork, *, device: torch.device, resets: Resets | None = None
) -> Learner:
    """The learner, with its own target network and optimizer."""
    method: Method | None = None
    if isinstance(net, ActorCritic):
        rng = generator(config.run.seed, LEARNING)
        method = PolicyLearning(config.learner, priority(config), actions=net.actions, rng=rng)
    return Learner(
        net,
        config.learner,
        layout(config),
        priority(config),
        method=method,
        resets=resets,
        initial_state=config.replay.initial_state,
        device=device,
    )


def learning_rate(config: Config, steps: int) -> float:
    """The learning rate after `steps` environment steps of the run."""
    rate = config.learner.learning_rate
    return linear(steps, start=rate, end=rate * config.learner.learning_rate_end, steps=config.run.steps)


def limiter(config: Config) -> RateLimiter:
    """The replay ratio of `replay.replay_ratio`."""
    return RateLimiter(config.replay.replay_ratio, min_steps=config.replay.min_steps)


def actor(
    config: Config, environments: Environments, net: AgentNetwork, *, rng: np.random.Generator
) -> Actor:
    """The actor of the whole vector; `net` is its own copy of the network."""
    made = Actor(
        environments,
        net,
        rng=rng,
        life_loss=config.env.life_loss,
        records_behavior=config.learner.records_behavior,
        repeat_exponent=config.actor.repeat_exponent,
        device=next(net.parameters()).device,
        precision=config.actor.precision,
    )
    made.epsilon = epsilon(config, environments.num_envs, 0)
    made.noise = config.actor.action_noise
    return made


def epsilon(config: Config, environments: int, steps: int) -> NDArray[np.float64]:
    """Each environment's epsilon [N] after `steps` environment steps."""
    a = config.actor
    match a.exploration:
        case "ladder":
            return epsilon_ladder(environments, base=a.epsilon_base, power=a.epsilon_power)
        case "linear":
            now = linear(steps, start=1.0, end=a.epsilon_end, steps=a.epsilon_steps)
            return np.full(environments, now)
        case "noise":
            return np.full(environments, float(steps < a.random_steps))


def threads(config: Config) -> int:
    """CPU threads for the networks."""
    return config.run.threads or os.cpu_count() or 1


def linear(step: int, *, start: float, end: float, steps: int) -> float:
    """Linear schedule from `start` to `end` over `steps`, constant afterwards.

    Epsilon of DQN (Mnih et al. 2015), beta of prioritized replay (Schaul et al. 2016). With 0 steps it is
    `end` from the beginning.

    >>> linear(50, start=1.0, end=0.1, steps=100)
    0.55
    """
    share = min(1.0, step / steps) if steps else 1.0
    return start + (end - start) * share
