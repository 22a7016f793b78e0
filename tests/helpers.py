"""What the proofs of replay and agent share: scripted environments, tiny networks, a played replay."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from r2d2.agent.actor import Actor
from r2d2.agent.inputs import Inputs
from r2d2.agent.learner import Learner
from r2d2.agent.losses import Priority
from r2d2.agent.networks import QNetwork
from r2d2.checkpoint.blobs import Blobs
from r2d2.config.learner import LearnerConfig
from r2d2.config.network import NetworkConfig
from r2d2.config.parts import CoreName
from r2d2.envs.vector import StepResult
from r2d2.replay import Fifo, Proportional, Replay, Sequencer
from r2d2.types import FROZEN, OBSERVATION, Batch, Codec, ObservationSpec, Rows, SequenceLayout, step_columns

ACTIONS = 3
PRIORITY = Priority(eta=0.7)
LEARNER_ARGUMENTS = ("initial_state", "device", "asynchronous", "resets")


# -- environments ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ending:
    """One scripted episode: its length in actions, how it ends, and the steps that lose a life."""

    length: int
    truncated: bool = False
    lives: tuple[int, ...] = ()


# One-step, short and long ones, in an order that is different for every slot.
EPISODES = (
    Ending(1),
    Ending(7, truncated=True),
    Ending(31, lives=(4, 5, 16)),
    Ending(1, truncated=True),
    Ending(2),
    Ending(17, truncated=True, lives=(0, 9)),
    Ending(3, truncated=True),
    Ending(12, lives=(11,)),
    Ending(5),
)


@dataclass
class Played:
    """What really happened in one episode: L actions, L + 1 observations."""

    observations: list[NDArray]
    actions: list[Any] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    terminated: list[bool] = field(default_factory=list)
    truncated: list[bool] = field(default_factory=list)
    lives: list[bool] = field(default_factory=list)


class ScriptedEnvironments:
    """N slots with NEXT_STEP auto-reset that play `episodes` in turn, slot i beginning with episode i.

    Observations are noise, rewards depend on the action, and `played` [N] keeps the truth.
    """

    def __init__(
        self, num_envs: int, shape: tuple[int, ...], dtype: str, episodes: tuple[Ending, ...]
    ) -> None:
        self.num_envs, self.shape, self.dtype, self.episodes = num_envs, shape, dtype, episodes
        self.played: list[list[Played]] = [[] for _ in range(num_envs)]
        self.script = [episodes[0]] * num_envs
        self.next_episode = list(range(num_envs))

    def reset(self, seed: int) -> NDArray:
        self.rng = np.random.default_rng(seed)
        self.done = [False] * self.num_envs
        return np.stack([self._begin(slot) for slot in range(self.num_envs)])

    def step(self, action: NDArray[np.int64]) -> StepResult:
        n = self.num_envs
        rewards, flags = np.zeros(n, np.float32), np.zeros((3, n), np.bool_)
        observations = []
        for slot in range(n):
            if self.done[slot]:
                self.done[slot] = False
                observations.append(self._begin(slot))
                continue
            ending, episode = self.script[slot], self.played[slot][-1]
            at = len(episode.actions)
            over = at + 1 == ending.length
            rewards[slot] = np.float32(self.rng.normal() + float(np.sum(action[slot])))
            flags[:, slot] = over and not ending.truncated, over and ending.truncated, at in ending.lives
            observations.append(self._observation())
            episode.observations.append(observations[-1])
            episode.actions.append(action[slot].tolist())
            episode.rewards.append(float(rewards[slot]))
            for name, flag in zip(("terminated", "truncated", "lives"), flags[:, slot], strict=True):
                getattr(episode, name).append(bool(flag))
            self.done[slot] = over
        return StepResult(np.stack(observations), rewards, *flags)

    def _begin(self, slot: int) -> NDArray:
        self.script[slot] = self.episodes[self.next_episode[slot] % len(self.episodes)]
        self.next_episode[slot] += 1
        observation = self._observation()
        self.played[slot].append(Played([observation]))
        return observation

    def _observation(self) -> NDArray:
        if self.dtype == "uint8":
            return self.rng.integers(0, 256, self.shape, np.uint8)
        return self.rng.normal(size=self.shape).astype(self.dtype)


# -- a played replay ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setup:
    """A small R2D2: everything that the actor, the replay and the learner have to agree about."""

    burn_in: int = 4
    unroll: int = 6
    n_step: int = 3
    period: int = 4
    stack: int = 2
    shape: tuple[int, ...] = (3,)
    dtype: str = "float32"
    core: CoreName = "lstm"
    codec: Codec = "raw"
    block: int = 5
    steps: int = 150
    environments: int = 3
    episodes: tuple[Ending, ...] = EPISODES
    life_loss: Literal["none", "reset", "roll"] = "none"
    epsilon: float = 0.4
    linked: bool = False
    frozen: int = 0  # features of a frozen encoder

    @property
    def observations(self) -> dict[str, ObservationSpec]:
        return {OBSERVATION: ObservationSpec(self.shape, self.dtype, "frames" if self.pixels else "vector")}

    @property
    def pixels(self) -> bool:
        return self.dtype == "uint8"

    def network(self, seed: int = 0) -> QNetwork:
        """Random weights, twice as large as usual so that states, stacks and inputs all matter."""
        config = NetworkConfig(
            torso="small",
            stack=self.stack,
            features=8,
            core=self.core,
            core_width=5,
            hidden=8,
            context="frozen" if self.frozen else "learned",
            context_features=self.frozen or 1,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = QNetwork(self.observations, ACTIONS, config)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(2.0)
        return network

    def replay(self) -> Replay:
        core_size = self.network().core_size
        sequencer = Sequencer(self.environments, **self.layout._asdict(), core_size=core_size)
        capacity = self.environments * sequencer.items_at_once + 100
        return Replay(
            step_columns(
                self.observations,
                codec=self.codec,
                stack=self.stack,
                frozen_features=self.frozen,
                burn_in=self.burn_in,
            ),
            streams=self.environments,
            sequencer=sequencer,
            selector=Proportional(capacity),
            remover=Fifo(capacity),
            capacity=capacity,
            steps=self.steps,
            block=self.block,
            core_size=core_size,
            linked=self.linked,
        )

    def actor(self, network: QNetwork, seed: int = 0) -> Actor:
        environments = ScriptedEnvironments(self.environments, self.shape, self.dtype, self.episodes)
        actor = Actor(
            environments,
            network,
            rng=np.random.default_rng(seed),
            life_loss=self.life_loss,
            device=next(network.parameters()).device,
        )
        actor.epsilon[:] = self.epsilon
        actor.reset(seed)
        return actor

    @property
    def layout(self) -> SequenceLayout:
        return SequenceLayout(self.burn_in, self.unroll, self.n_step, self.period, self.stack - 1)

    def learner(self, network: QNetwork, priority: Priority = PRIORITY, **changes: Any) -> Learner:
        """Changes are of `LearnerConfig`, or arguments of `Learner`."""
        arguments = {name: changes.pop(name) for name in LEARNER_ARGUMENTS if name in changes}
        config = LearnerConfig(discount=0.9, learning_rate=1e-3, max_grad_norm=1e9, target_period=1000)
        return Learner(network, dataclasses.replace(config, **changes), self.layout, priority, **arguments)


def play(
    actor: Actor,
    replay: Replay,
    steps: int,
    *,
    cut_every: int = 0,
    change: Callable[[Rows], Rows] = lambda rows: rows,
) -> Iterator[NDArray[np.int64]]:
    """Let the actor play into the replay; yields the ids of the items that each vector step finished.

    Every `cut_every` steps there is a barrier: running episodes are cut and the environments restart.
    """
    for step in range(1, steps + 1):
        cut = cut_every > 0 and step % cut_every == 0
        ids = []
        for rows in map(change, actor.step(cut=cut)):
            ids.append(replay.write(rows.values, rows.last, streams=rows.streams, core=rows.core))
        if cut:
            actor.reset(step)
        yield np.concatenate(ids)


def items_of(setup: Setup, network: QNetwork, *, steps: int = 120, seed: int = 0) -> tuple[Replay, Batch]:
    """A replay that `network` has filled, and all items in it as one batch."""
    replay = setup.replay()
    ids = np.concatenate(list(play(setup.actor(network, seed), replay, steps)))
    return replay, replay.get(ids[-len(replay) :])


def select(batch: Batch, chosen: NDArray) -> Batch:
    """Some items of a batch, as a batch."""
    parts = {name: value[chosen] for name, value in vars(batch).items() if name != "columns"}
    return Batch({name: column[chosen] for name, column in batch.columns.items()}, **parts)


def item_rows(batch: Batch, b: int, burn_in: int) -> range:
    """The rows of item b that are neither padding nor context."""
    return range(burn_in - int(batch.burn_in[b]), burn_in + int(batch.length[b]) + int(batch.lookahead[b]))


def recompute(network: QNetwork, batch: Batch, b: int, setup: Setup) -> dict[int, torch.Tensor]:
    """Q values [A] of item b's rows, one step after the other from the item's core state; with a frozen context
    those of the burn-in, which has no observations, are left out.

    Written apart from the learner: rows, stacks and states are taken one at a time.
    """
    core = torch.from_numpy(batch.core[b : b + 1])
    found = {}
    skipped = setup.burn_in if setup.frozen else 0
    for row in item_rows(batch, b, setup.burn_in):
        frames = batch.columns["observation"][b, row - skipped :][: setup.stack]  # context comes first
        action = torch.tensor([[int(batch.columns["previous_action"][b, row])]])
        reward = torch.tensor([[float(batch.columns["previous_reward"][b, row])]])
        seen = torch.from_numpy(batch.columns[FROZEN][b, row].copy())[None, None] if setup.frozen else None
        if row < skipped:
            core = network.unroll(network.encode_for_state(Inputs({}, action, reward, seen)), core)[1]
            continue
        inputs = dataclasses.replace(
            inputs_of(one_input(frames, pixels=setup.pixels), action, reward), frozen=seen
        )
        q, core = network.step(inputs, core.to(next(network.parameters()).dtype))
        found[row] = q[0]
    return found


def inputs_of(observation: torch.Tensor, action: torch.Tensor, reward: torch.Tensor) -> Inputs:
    """Network inputs [T, B, ...] with one observation column, stacked already."""
    return Inputs({OBSERVATION: observation}, action, reward)


def one_input(frames: NDArray, *, pixels: bool) -> torch.Tensor:
    """Network input [1, 1, ...] of one step from its stack of frames, oldest first."""
    if not pixels:
        return torch.from_numpy(np.concatenate(list(frames)))[None, None]
    planes = (
        [frame[..., k] for frame in frames for k in range(frame.shape[2])] if frames.ndim == 4 else frames
    )
    return torch.from_numpy(np.stack(list(planes)).astype(np.float32) / np.float32(255))[None, None]


# -- states ------------------------------------------------------------------------------------------------


def snapshot(state: Any) -> Any:
    """A deep copy of a replay's state: blobs may be lazy views of arrays that the replay goes on using."""
    if isinstance(state, Blobs):
        return Blobs(state.keys.copy(), [bytes(state.data[i]) for i in range(len(state))])
    if isinstance(state, Mapping):
        return {name: snapshot(value) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return [snapshot(value) for value in state]
    return state.copy() if isinstance(state, np.ndarray) else state
