"""The interface of every environment to an agent: a vector of N slots with one spec.

The alignment is always gymnasium's NEXT_STEP auto-reset: `step` returns the observation that the action led
to, the final one included. The step after a done ignores that slot's action and returns the first
observation of the slot's next episode with reward 0 and no flag set: drop that transition and reset the
core state there.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from r2d2.envs.actions import Actions, BoxActions
    from r2d2.envs.observations import Part

# ALE keeps a seed in a C++ int and reads negative ones as "unseeded".
MAX_SEED = 2**31 - 1


# What N slots show: an array [N, ...], or a dict of such arrays, one a column, where the environment itself has a
# Dict or Tuple.
Observation = Any


class EnvError(ValueError):
    """An environment that cannot be built as asked, or breaks its own rules; the message says what would work."""


def each(function: Callable[..., NDArray[Any]], *observations: Observation) -> Observation:
    """Applies a function to the arrays of observations, column by column; returns an observation.

    >>> each(np.add, {"observation/a": np.ones(2)}, {"observation/a": np.ones(2)})
    {'observation/a': array([2., 2.])}
    """
    first, *others = observations
    if not isinstance(first, dict):
        return function(first, *others)
    return {name: function(*(seen[name] for seen in observations)) for name in first}


@dataclass(frozen=True)
class Goals:
    """What hindsight must know of a goal environment.

    The last 2 * `size` numbers of a flat observation are the desired and the achieved goal, in this order.
    `outcome` maps achieved and desired goals [K, size] to the rewards [K] for arriving there and to whether
    that ends the episode [K].
    """

    size: int
    outcome: Callable[
        [NDArray[np.float32], NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.bool_]]
    ] = field(compare=False)


@dataclass(frozen=True)
class EnvSpec:
    """What an agent must know to act in one slot.

    `parts` are the arrays of an observation, without a stack axis; mostly there is one. Actions are
    0 .. num_actions - 1, or vectors of `action_size` numbers from -1 to 1 (then `num_actions` is that size too).
    `max_episode_steps` is the longest possible episode in agent steps (on Atari: frames /
    frame skip, the no-ops at the start not counted); None means that nothing bounds it.
    """

    id: str
    parts: tuple[Part, ...]
    num_actions: int
    max_episode_steps: int | None
    goals: Goals | None = None  # of a goal environment
    actions: Actions | BoxActions | None = None  # the environment's own actions, unless they count from 0

    @property
    def action_size(self) -> int:
        """How many numbers a vector action has, 0 for discrete actions."""
        return getattr(self.actions, "size", 0)

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """The shape of an observation of one part; ValueError if it has several."""
        return self._only.shape

    @property
    def observation_dtype(self) -> str:
        """'uint8' or 'float32', of an observation of one part; ValueError if it has several."""
        return self._only.dtype

    @property
    def _only(self) -> Part:
        if len(self.parts) > 1:
            raise ValueError(f"observations of {self.id} have {len(self.parts)} parts: look at spec.parts")
        return self.parts[0]


class StepResult(NamedTuple):
    """One step of N slots; at most one of `terminated` and `truncated` is set in a slot.

    `life_lost` marks the steps where the game's life counter fell, even if the episode continues; it is never
    set by a reset and always False where there are no lives. `observation` is the caller's own array.
    """

    observation: Observation  # [N, ...] as spec.parts say
    reward: NDArray[np.float32]  # [N]
    terminated: NDArray[np.bool_]  # [N]
    truncated: NDArray[np.bool_]  # [N]
    life_lost: NDArray[np.bool_]  # [N]


class VectorEnv(Protocol):
    """N slots of one environment that step together.

    Every returned array belongs to the caller: it is not overwritten, so it may be kept without a copy.
    """

    @property
    def spec(self) -> EnvSpec:
        """What one slot looks like."""

    @property
    def num_envs(self) -> int:
        """The number of slots N."""

    def reset(self, seed: int) -> Observation:
        """Restarts every slot, slot i from seed + i, and returns the first observations [N, ...].

        Allowed at any time, also in the middle of episodes. Later episodes of a slot continue its random
        stream. Space the seeds of two vectors by at least num_envs, or they share slots: slot i of
        seed s is the same run as slot 0 of seed s + i.
        """

    def step(self, action: NDArray[Any]) -> StepResult:
        """Acts once in every slot (action [N], or [N, action_size]); a slot that was done restarts instead."""

    def close(self) -> None:
        """Frees the environment's resources; it may not be used afterwards."""


class RecordableEnv(VectorEnv, Protocol):
    """A vector of one slot that can be recorded; its observations are those of any other vector."""

    def rgb_frame(self) -> NDArray[np.uint8]:
        """The current picture for a person, [height, width, 3]."""


def check_action(action: NDArray[np.int64], num_envs: int, num_actions: int) -> NDArray[np.int64]:
    """Returns the actions as int64 [N]; raises ValueError for bad ones.

    An action outside its range would make ALE's vector environment wait forever.

    >>> check_action(np.array([0, 2]), num_envs=2, num_actions=3)
    array([0, 2])
    """
    if not isinstance(action, np.ndarray) or action.dtype.kind not in "iu":
        kind = action.dtype if isinstance(action, np.ndarray) else type(action).__name__
        raise ValueError(
            f"action must be an integer array, got {kind}; use np.asarray(action, dtype=np.int64)"
        )
    if action.shape != (num_envs,):
        raise ValueError(
            f"action must have shape ({num_envs},), one per slot, got {action.shape}; "
            "slots that were done still need one (it is ignored)"
        )
    if action.min() < 0 or action.max() >= num_actions:
        slot = int(np.flatnonzero((action < 0) | (action >= num_actions))[0])
        raise ValueError(
            f"action must be in [0, num_actions={num_actions}), got {action[slot]} in slot {slot}; "
            "build the network with spec.num_actions outputs"
        )
    return action.astype(np.int64, copy=False)


def check_vectors(action: NDArray[np.float32], num_envs: int, size: int) -> NDArray[np.float32]:
    """Returns vector actions as float32 [N, size]; raises ValueError for bad ones.

    >>> check_vectors(np.array([[0.5], [-1.0]]), num_envs=2, size=1).tolist()
    [[0.5], [-1.0]]
    """
    if not isinstance(action, np.ndarray) or action.dtype.kind != "f" or action.shape != (num_envs, size):
        got = f"{action.dtype} {action.shape}" if isinstance(action, np.ndarray) else type(action).__name__
        raise ValueError(f"action must be floats of shape ({num_envs}, {size}), a vector per slot, got {got}")
    outside = ~(np.abs(action) <= 1.0).all(1)  # NaN too
    if outside.any():
        slot = int(np.flatnonzero(outside)[0])
        raise ValueError(
            f"action must be in [-1, 1], got {action[slot]} in slot {slot}; it is scaled to the environment's own "
            "bounds here: clip it"
        )
    return action.astype(np.float32, copy=False)


def check_seed(seed: int, num_envs: int) -> int:
    """Returns the seed as a plain int, or says why slot i cannot have seed + i."""
    try:
        value = operator.index(seed)
    except TypeError:
        raise ValueError(
            f"seed must be an integer, got {seed!r}; environments here are always seeded"
        ) from None
    if not 0 <= value <= MAX_SEED - num_envs:
        raise ValueError(
            f"seed must be in [0, 2**31 - 1 - num_envs={MAX_SEED - num_envs}], got {value}; "
            "derive it with numpy.random.SeedSequence and take it modulo 2**30"
        )
    return value


class Checked:
    """A vector environment that rejects bad input and output instead of hanging or passing it to the learner.

    Raises ValueError for a bad action, EnvError for a reward or an observation that is not finite, and RuntimeError
    for a step before the first reset or any use after close. Where a slot sets both flags, termination wins.
    """

    def __init__(self, env: VectorEnv) -> None:
        self._env: VectorEnv | None = env
        self._ready = False
        self.spec = env.spec
        self.num_envs = env.num_envs

    def reset(self, seed: int) -> Observation:
        """Restarts every slot; see `VectorEnv.reset`."""
        observation = self._open("reset").reset(check_seed(seed, self.num_envs))
        self._finite("reset", "observation", observation)
        self._ready = True
        return observation

    def step(self, action: NDArray[Any]) -> StepResult:
        """Acts once in every slot; see `VectorEnv.step`."""
        env = self._open("step")
        if not self._ready:
            raise RuntimeError(f"step was called before reset in {self.spec.id}; call reset(seed) first")
        size = self.spec.action_size
        if size:
            result = env.step(check_vectors(action, self.num_envs, size))
        else:
            result = env.step(check_action(action, self.num_envs, self.spec.num_actions))
        self._finite("step", "reward", result.reward)
        self._finite("step", "observation", result.observation)
        return result._replace(truncated=result.truncated & ~result.terminated)

    def close(self) -> None:
        """Frees the environment; a second call does nothing."""
        if self._env is not None:
            self._env.close()
        self._env = None

    def _open(self, call: str) -> VectorEnv:
        if self._env is None:
            raise RuntimeError(f"{call} was called after close in {self.spec.id}; make a new environment")
        return self._env

    def _finite(self, call: str, name: str, value: Observation) -> None:
        if isinstance(value, dict):
            for column, values in value.items():
                self._finite(call, column, values)
        elif value.dtype.kind == "f" and not np.isfinite(value).all():
            slot = int(np.flatnonzero(~np.isfinite(value.reshape(self.num_envs, -1)).all(axis=1))[0])
            raise EnvError(
                f"{name} must be finite, got {value[slot]} in slot {slot} of {self.spec.id}, returned by {call}; "
                "the environment is at fault: correct it, or wrap it"
            )
