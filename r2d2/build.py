"""Config -> objects. The only module that knows both."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from envs.make import make
from r2d2 import memory
from r2d2.agent.actor import Actor, Environments
from r2d2.agent.exploration import epsilon_ladder
from r2d2.agent.learner import Learner
from r2d2.agent.networks import QNetwork
from r2d2.config import Config
from r2d2.replay import (
    Combined,
    Fifo,
    LowestPriority,
    Mixture,
    Proportional,
    RankBased,
    RateLimiter,
    Recency,
    Remover,
    Replay,
    Reservoir,
    Selector,
    Sequencer,
    SoftFifo,
    Uniform,
)
from r2d2.replay.mixture import batch_shares
from r2d2.schedules import linear
from r2d2.types import step_columns

_REMOVING = 100  # child of the run's seed; those of `runtime/local.py` count from 0


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


def is_pixels(shape: tuple[int, ...], dtype: str) -> bool:
    """Frames are uint8 with two axes, or three with the colours last; everything else is a vector."""
    return dtype == "uint8" and len(shape) in (2, 3)


def network(config: Config, shape: tuple[int, ...], dtype: str, actions: int) -> QNetwork:
    """The Q network for observations of one step; its initial weights depend on `run.seed` alone."""
    net = config.network
    if is_pixels(shape, dtype):
        channels = net.stack * (shape[2] if len(shape) == 3 else 1)
        inputs: tuple[int, ...] = (channels, shape[0], shape[1])
    else:
        inputs = (math.prod(shape) * net.stack,)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.run.seed)
        return QNetwork(
            inputs,
            actions,
            torso=net.torso,
            features=net.features,
            core=net.core,
            core_width=net.core_width,
            hidden=net.hidden,
            previous_inputs=net.previous_inputs,
            dueling=net.dueling,
            forget_bias=net.forget_bias,
        )


def check_initial_state(config: Config, longest: int | None) -> None:
    """Refuse whole episodes that would not be whole; `longest` is the environment's longest one, steps."""
    r = config.replay
    if r.initial_state != "episode":
        return
    if r.burn_in:
        raise ValueError(
            f"replay.burn_in must be 0 with initial_state episode, got {r.burn_in}: whole episodes begin "
            "where the state is known; use --replay.burn-in 0, or initial_state zero"
        )
    if longest is None or r.unroll < longest:
        raise ValueError(
            f"replay.unroll must be at least the longest episode of {config.env.id} with initial_state "
            f"episode ({'which has no bound' if longest is None else f'{longest} steps'}), got {r.unroll}: "
            + ("" if longest is None else f"use --replay.unroll {longest}, or ")
            + "use --replay.initial-state stored"
        )


def learner(config: Config, net: QNetwork, *, pixels: bool, device: torch.device) -> Learner:
    """The learner, with its own target network and optimiser."""
    c, r = config.learner, config.replay
    return Learner(
        net,
        stack=config.network.stack,
        pixels=pixels,
        burn_in=r.burn_in,
        unroll=r.unroll,
        n_step=r.n_step,
        discount=c.discount,
        eta=r.eta,
        learning_rate=c.learning_rate,
        adam_epsilon=c.adam_epsilon,
        clip_norm=c.clip_norm,
        target_period=c.target_period,
        period=r.period,
        initial_state=r.initial_state,
        loss=c.loss,
        priority=r.priority,
        rescaling=c.rescaling,
        reward_clip=c.reward_clip,
        double=c.double,
        precision=torch.bfloat16 if c.precision == "bfloat16" else torch.float32,
        device=device,
    )


def replay(
    config: Config, shape: tuple[int, ...], dtype: str, *, streams: int, core_size: int
) -> Replay | Mixture:
    """The replay for `streams` environments."""
    r = config.replay
    drawn = batch_shares(config.learner.batch, [1.0 - r.long_term, r.long_term])
    if r.newest and drawn[0] <= r.newest * streams:
        raise ValueError(
            f"replay.newest={r.newest} of each of {streams} environments and one drawn item do not fit in "
            f"the {drawn[0]} items of a batch: raise learner.batch, or lower env.count or replay.newest"
        )
    if r.long_term == 1.0:
        raise ValueError("replay.long_term must be below 1: for nothing else use --replay.remover reservoir")
    recent = _replay(config, shape, dtype, streams=streams, core_size=core_size)
    if r.long_term == 0.0:
        return recent
    parts = {"remover": "reservoir", "newest": 0, "folder": r.folder and str(Path(r.folder) / "long_term")}
    other = replace(config, replay=replace(r, **parts))  # type: ignore[arg-type]
    long_term = _replay(other, shape, dtype, streams=streams, core_size=core_size)
    return Mixture([recent, long_term], [1.0 - r.long_term, r.long_term], normalise=r.normalise)


def _replay(config: Config, shape: tuple[int, ...], dtype: str, *, streams: int, core_size: int) -> Replay:
    r = config.replay
    stack = config.network.stack
    codec = r.codec if is_pixels(shape, dtype) else "raw"
    columns = step_columns(shape, dtype, codec=codec, stack=stack)
    sequencer = Sequencer(
        streams,
        burn_in=r.burn_in,
        unroll=r.unroll,
        n_step=r.n_step,
        period=r.period,
        context=stack - 1,
        core_size=core_size,
    )
    steps = kept_steps(config)
    # A fourth more items than long episodes make: short ones make more, and `steps` is what binds.
    capacity = max(-(-steps * 5 // (4 * r.period)), streams * sequencer.items_at_once)
    chosen = selector(config, capacity, streams)
    return Replay(
        columns,
        streams=streams,
        sequencer=sequencer,
        selector=chosen,
        remover=remover(config, capacity, chosen),
        capacity=capacity,
        steps=steps,
        block=r.block,
        core_size=core_size,
        linked=r.initial_state == "refreshed",
        normalise=r.normalise,
        folder=Path(r.folder) if r.folder else None,
    )


def kept_steps(config: Config) -> int:
    """The steps that one replay has room for."""
    r = config.replay
    return math.ceil(r.steps * (1.0 + r.soft_surplus)) if r.remover == "soft" else r.steps


def selector(config: Config, capacity: int, streams: int) -> Selector:
    """Which items are drawn."""
    r = config.replay
    made: Selector
    match r.selector:
        case "uniform":
            made = Uniform(capacity)
        case "proportional":
            made = Proportional(capacity, alpha=r.alpha, stratified=r.stratified)
        case "rank":
            made = RankBased(capacity, alpha=r.alpha, stratified=r.stratified)
        case "recency":
            made = Recency(capacity, decay=r.decay)
    return Combined(made, capacity=capacity, streams=streams, newest=r.newest) if r.newest else made


def remover(config: Config, capacity: int, selector: Selector) -> Remover:
    """Which items are given up."""
    r = config.replay
    match r.remover:
        case "fifo":
            return Fifo(capacity)
        case "reservoir":
            seed = np.random.SeedSequence(config.run.seed, spawn_key=(_REMOVING,))
            return Reservoir(capacity, np.random.default_rng(seed))
        case "lowest":
            return LowestPriority(selector)
        case "soft":
            return SoftFifo(capacity, min(capacity, -(-r.steps // r.period)))


def beta(config: Config, steps: int) -> float:
    """The exponent of the importance weights after `steps` environment steps."""
    r = config.replay
    if r.beta_steps == 0:
        return r.beta
    return linear(steps, start=r.beta, end=r.beta_end, steps=r.beta_steps)


def replay_bytes(config: Config) -> dict[str, int]:
    """Estimated bytes of the replay at capacity, by column; nothing is allocated for it."""
    environments = make(config.env.id, 1, protocol=config.env.protocol, frame_size=config.env.frame_size,
                        threads=1, options=dict(config.env.options))  # fmt: skip
    spec = environments.spec
    environments.close()
    r = config.replay
    codec = r.codec if is_pixels(spec.observation_shape, spec.observation_dtype) else "raw"
    columns = step_columns(spec.observation_shape, spec.observation_dtype, codec=codec, stack=1)
    steps = kept_steps(config) * (2 if r.long_term else 1)
    core = {"lstm": 2 * config.network.core_width, "gru": config.network.core_width, "none": 0}
    return memory.replay_bytes(
        columns, steps=steps, items=-(-steps // r.period), core_size=core[config.network.core]
    )


def limiter(config: Config) -> RateLimiter:
    """The replay ratio of `replay.ratio`."""
    return RateLimiter(config.replay.ratio, min_steps=config.replay.min_steps)


def actor(
    config: Config, environments: Environments, net: QNetwork, *, pixels: bool, rng: np.random.Generator
) -> Actor:
    """The actor of the whole vector; `net` is its own copy of the network."""
    made = Actor(
        environments,
        net,
        stack=config.network.stack,
        pixels=pixels,
        rng=rng,
        life_loss=config.env.life_loss,
        device=next(net.parameters()).device,
    )
    made.epsilon = epsilon(config, environments.num_envs, 0)
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


def threads(config: Config) -> int:
    """CPU threads for the networks."""
    return config.run.threads or os.cpu_count() or 1
