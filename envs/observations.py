"""What an agent sees: the parts of an observation, each an array that becomes a column of its own.

A Box, a Discrete, a MultiDiscrete or a MultiBinary is one part. A Dict or a Tuple, nested or not, has one for
each of these in it. Frames and grids are returned with channels last, numbers as float32, bytes as uint8, symbols
one-hot.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from numpy.typing import NDArray

from r2d2.envs.vector import EnvError

Kind = Literal["frames", "grid", "vector"]
Channels = Literal["first", "last", "none"]
Chosen = Literal["auto", "first", "last"]

FRAME_SIDE = 23  # pixels; ours: the smallest frame for convolutions with strides; smaller ones are grids
MAX_SYMBOLS = 10_000  # ours: one input each
UNBOUNDED = 1e6  # ours: a bound this large is not used for scaling


@dataclass(frozen=True)
class Part:
    """One array of an observation.

    `shape` and `dtype` are those of the column: frames and grids [height, width] or [height, width, channels],
    vectors [D]; uint8 or float32. `low` and `high` bound each number of a vector, or all of a frame or grid ([1]);
    they are infinite where there is no bound. `channels` tells which axis is the environment's own channel axis.
    `path` leads through Dicts and Tuples to the environment's own array, of `own_shape`. Numbers that are shown
    one-hot have `symbols` values each, from `first` on.
    """

    name: str  # of the column: 'observation', or 'observation/NAME' of a part of a Dict or Tuple
    shape: tuple[int, ...]
    dtype: str
    kind: Kind
    low: tuple[float, ...]
    high: tuple[float, ...]
    channels: Channels = "none"
    path: tuple[str | int, ...] = ()
    own_shape: tuple[int, ...] = ()
    symbols: tuple[int, ...] = ()
    first: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()  # of a Dict whose vectors are concatenated into this one

    def read(self, observation: Any) -> NDArray[Any]:
        """This part [..., *shape] of an observation [...], an array of its own.

        >>> spin, = parts_of(Discrete(3, start=1), "Spin-v0")
        >>> spin.read(np.array([1, 3])).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
        """
        if self.keys:
            return np.concatenate([observation[key] for key in self.keys], -1, dtype=self.dtype)
        for key in self.path:
            observation = observation[key]
        own = np.asarray(observation)
        outer = own.shape[: own.ndim - len(self.own_shape)]
        if self.symbols:
            numbers = own.reshape(*outer, -1).astype(np.int64) - self.first
            hot = [numbers[..., i, None] == np.arange(n) for i, n in enumerate(self.symbols)]
            return np.concatenate(hot, -1).astype(self.dtype)
        if self.channels == "first":
            own = np.moveaxis(own, len(outer), -1)
        return np.array(own.reshape(*outer, *self.shape), dtype=self.dtype, order="C")

    def __str__(self) -> str:
        """A description, as 'observation/image: frames 64 x 64, 3 channels (first), uint8 in [0, 255]'."""
        sides = " x ".join(map(str, self.shape[:2]))
        match self.kind:
            case "vector":
                what = f"{'one-hot ' if self.symbols else ''}vector of {math.prod(self.shape)}"
            case _ if self.channels == "none":
                what = f"{self.kind} {sides}"
            case _:
                what = f"{self.kind} {sides}, {self.shape[2]} channels ({self.channels})"
        low, high = min(self.low), max(self.high)
        bounds = f"in [{low:g}, {high:g}]" if self.bounded.all() else "without bounds"
        return f"{self.name}: {what}, {self.dtype} {bounds}"

    @property
    def bounded(self) -> NDArray[np.bool_]:
        """Which numbers have bounds that can be used for scaling, shaped as `low` and `high`."""
        low, high = np.array(self.low), np.array(self.high)
        return (np.abs(low) < UNBOUNDED) & (np.abs(high) < UNBOUNDED) & (low < high)


def parts_of(space: gym.Space[Any], env_id: str, channels: Chosen = "auto") -> tuple[Part, ...]:
    """The parts of an observation space, in the order of its own keys.

    `channels` says which axis of frames and grids they are; 'auto' takes the one that differs from the two others,
    else the smaller of the first and the last.
    Raises EnvError, with the space and the remedy, if part of the space is not an array of fixed size.
    """
    if channels not in ("auto", "first", "last"):
        raise EnvError(f"channels must be auto, first or last, got {channels!r}")
    found = tuple(_part(leaf, path, env_id, channels) for leaf, path in _leaves(space, ()))
    if not found:
        raise EnvError(f"{env_id} has the observation space {space}, in which there is nothing to see")
    return found


def _leaves(
    space: gym.Space[Any], path: tuple[str | int, ...]
) -> Iterator[tuple[gym.Space[Any], tuple[str | int, ...]]]:
    if isinstance(space, gym.spaces.Dict):
        for key, inner in space.spaces.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(space, gym.spaces.Tuple):
        for place, inner in enumerate(space.spaces):
            yield from _leaves(inner, (*path, place))
    else:
        yield space, path


def _part(space: gym.Space[Any], path: tuple[str | int, ...], env_id: str, channels: Chosen) -> Part:
    name = "/".join(["observation", *(str(key).replace("/", "%2F") for key in path)])
    match space:
        case Box() if math.prod(space.shape) > 0:
            return _array(space, name, path, channels)
        case Discrete():
            return _one_hot(name, path, (), [int(space.n)], [int(space.start)], env_id)
        case MultiDiscrete():
            counts, starts = space.nvec.ravel().tolist(), space.start.ravel().tolist()
            return _one_hot(name, path, space.nvec.shape, counts, starts, env_id)
        case MultiBinary() if math.prod(space.shape) > 0:
            size = math.prod(space.shape)
            return Part(
                name,
                (size,),
                "float32",
                "vector",
                (0.0,) * size,
                (1.0,) * size,
                path=path,
                own_shape=space.shape,
            )
    where = "the observation space" if not path else f"{name}, which is"
    raise EnvError(
        f"{env_id} has {where} {space}; a part of an observation must be a Box that is not empty, a Discrete, a "
        "MultiDiscrete or a MultiBinary: leave it out, or turn it into one of them, with a wrapper of "
        "gymnasium (FilterObservation, TransformObservation), and give --env module:function that returns the "
        "wrapped environment"
    )


def _one_hot(
    name: str,
    path: tuple[str | int, ...],
    own_shape: tuple[int, ...],
    counts: list[int],
    starts: list[int],
    env_id: str,
) -> Part:
    size = sum(counts)
    if not 0 < size <= MAX_SYMBOLS:
        raise EnvError(
            f"{env_id} shows {size:,} symbols in {name}; at most {MAX_SYMBOLS:,} can be shown one-hot: give "
            "them as numbers in a Box"
        )
    return Part(
        name,
        (size,),
        "float32",
        "vector",
        (0.0,) * size,
        (1.0,) * size,
        "none",
        path,
        own_shape,
        tuple(counts),
        tuple(starts),
    )


def _array(space: Box, name: str, path: tuple[str | int, ...], channels: Chosen) -> Part:
    own = space.shape
    where: Channels = "none"
    shape = own
    if len(own) == 3:
        where = _channel_axis(own) if channels == "auto" else channels
        shape = own if where == "last" else (*own[1:], own[0])
    if len(own) not in (2, 3) or min(shape[:2]) == 1:
        size = math.prod(own)
        return Part(
            name,
            (size,),
            "uint8" if space.dtype == np.uint8 else "float32",
            "vector",
            _numbers(space.low),
            _numbers(space.high),
            path=path,
            own_shape=own,
        )
    kind: Kind = "frames" if min(shape[:2]) >= FRAME_SIDE else "grid"
    low, high = float(space.low.min()), float(space.high.max())
    assert space.dtype is not None
    small = space.dtype.kind in "biu" and low >= 0 and high <= 255
    return Part(name, shape, "uint8" if small else "float32", kind, (low,), (high,), where, path, own)


def _numbers(bounds: NDArray[Any]) -> tuple[float, ...]:
    return tuple(np.asarray(bounds, dtype=np.float64).ravel().tolist())


def _channel_axis(shape: tuple[int, ...]) -> Literal["first", "last"]:
    """Guesses the channel axis of an array [?, ?, ?].

    >>> [_channel_axis(shape) for shape in [(84, 84, 3), (3, 64, 48), (7, 7, 20), (20, 7, 7), (8, 8, 8)]]
    ['last', 'first', 'last', 'first', 'last']
    """
    first, middle, last = shape
    if first == middle or middle == last:
        return "last" if first == middle else "first"
    return "last" if last <= first else "first"
