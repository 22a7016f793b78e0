"""Environments of other packages that need more than their id: MiniGrid, POPGym, MinAtar and ViZDoom.

Each is an extra of this package and is imported only when one of its ids is asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from r2d2.envs.memory.task import check_flag
from r2d2.envs.vector import EnvError
from r2d2.errors import how_to_install

AnyEnv = gym.Env[Any, Any]
MAX_MISSIONS = 1_000  # ours: one input each


@dataclass(frozen=True)
class Extra:
    """A package whose ids start with one of `prefixes`; importing `module` registers them, or its function
    `register`.

    `build` makes one environment from (id, options, frame size in pixels); `limit` reads the length of its
    longest episode, in steps, from that environment.
    """

    name: str
    prefixes: tuple[str, ...]
    module: str
    build: Callable[[str, dict[str, Any], int], AnyEnv]
    limit: Callable[[AnyEnv], int | None]
    register: str = ""


def extra_of(env_id: str) -> Extra | None:
    """Imports and returns the package that an id belongs to; None for all other ids."""
    for extra in EXTRAS:
        if env_id.startswith(extra.prefixes):
            try:
                module = import_module(extra.module)
            except ImportError as error:
                raise EnvError(
                    f"{env_id} needs {extra.name}, which is not installed or not whole ({error}): "
                    f"{how_to_install(extra.name)}"
                ) from error
            if extra.register and not any(name.startswith(extra.prefixes) for name in gym.registry):
                getattr(module, extra.register)()
            return extra
    return None


# -- MiniGrid ----------------------------------------------------------------------------------------------


def minigrid(env_id: str, options: dict[str, Any], frame_size: int) -> AnyEnv:
    """What the agent sees as one vector of zeros and ones, because the codes of a cell are labels, not colors.

    For each cell of its view (7 x 7) the kind of object, its color and its state, one-hot; then the direction,
    one-hot; then the mission, one-hot, where the task has more than one.
    """
    env: AnyEnv = gym.make(env_id, disable_env_checker=True, **options)
    space: Any = env.observation_space
    codes = import_module("minigrid.core.constants")
    sizes = [len(codes.OBJECT_TO_IDX), len(codes.COLOR_TO_IDX), len(codes.STATE_TO_IDX)]
    missions = _missions(env_id, space["mission"])
    height, width, _ = space["image"].shape
    eyes = [np.eye(size, dtype=np.float32) for size in sizes]

    def flat(seen: dict[str, Any]) -> NDArray[np.float32]:
        cells = [eye[seen["image"][..., k]].ravel() for k, eye in enumerate(eyes)]
        told = [seen["mission"] == mission for mission in missions] if len(missions) > 1 else []
        facing = np.arange(4) == seen["direction"]
        return np.concatenate([*cells, facing, told], dtype=np.float32)

    size = height * width * sum(sizes) + 4 + (len(missions) if len(missions) > 1 else 0)
    return gym.wrappers.TransformObservation(env, flat, Box(0.0, 1.0, (size,), np.float32))


def _missions(env_id: str, space: Any) -> list[str]:
    """All sentences a task can give; raises EnvError where they cannot be listed (BabyAI) or are too many."""
    choices = space.ordered_placeholders or []
    listed = type(space) is import_module("minigrid.core.mission").MissionSpace
    if not listed or np.prod([len(words) for words in choices]) > MAX_MISSIONS:
        raise EnvError(
            f"{env_id} gives its missions in free language, which the agent cannot read; use a task with at "
            f"most {MAX_MISSIONS} missions, such as 'MiniGrid-MemoryS7-v0'"
        )
    return sorted({space.mission_func(*words) for words in itertools.product(*choices)})


# -- POPGym ------------------------------------------------------------------------------------------------


def popgym(env_id: str, options: dict[str, Any], frame_size: int) -> AnyEnv:
    """Observations flattened, symbols one-hot."""
    return gym.wrappers.FlattenObservation(gym.make(env_id, disable_env_checker=True, **options))


# -- MinAtar -----------------------------------------------------------------------------------------------


def minatar(env_id: str, options: dict[str, Any], frame_size: int) -> AnyEnv:
    """A grid of 10 x 10 cells with a channel of zeros and ones for each kind of object."""
    env: AnyEnv = gym.make(env_id, disable_env_checker=True, **options)
    space = Box(0, 1, env.observation_space.shape, np.uint8)
    return gym.wrappers.TransformObservation(env, lambda seen: seen.astype(np.uint8), space)


# -- ViZDoom -----------------------------------------------------------------------------------------------

DOOM_SCREEN = (120, 160)  # pixels; ViZDoom's smallest, since frames are smaller still
FRAME_SKIP = 4  # tics a step; ours, as on Atari and, at 60 frames/s, in the paper's DMLab


def area_weights(size: int, bands: int) -> NDArray[np.float32]:
    """The matrix [bands, size] that averages `size` pixels over `bands` equal bands, which may cut a pixel.

    >>> area_weights(3, 2).round(3).tolist()
    [[0.6669999957084656, 0.3330000042915344, 0.0], [0.0, 0.3330000042915344, 0.6669999957084656]]
    """
    edges = np.arange(bands + 1) * size / bands
    pixels = np.arange(size)
    upper = np.minimum(edges[1:, None], pixels + 1)
    lower = np.maximum(edges[:-1, None], pixels)
    weights = np.clip(upper - lower, 0.0, None) * bands / size
    return weights.astype(np.float32)


class DoomFrames(gym.Wrapper[Any, Any, Any, Any]):
    """The screen of a ViZDoom game as square frames, [size, size, 3], or [size, size] in gray.

    Health, ammunition and other numbers are visible only if the screen shows them. The package returns a black
    screen after the last step and flags a timeout as a termination too. Here the last frame is kept and a
    timeout is a truncation only, so what is bootstrapped from it is right except for one step.
    """

    def __init__(self, env: AnyEnv, size: int) -> None:
        super().__init__(env)
        height, width, channels = env.observation_space["screen"].shape  # type: ignore[index]
        self._rows, self._columns = area_weights(height, size), area_weights(width, size)
        self._gray = channels == 1
        shape = (size, size) if self._gray else (size, size, channels)
        self.observation_space = Box(0, 255, shape, np.uint8)
        self._frame = np.zeros(shape, dtype=np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Starts an episode."""
        seen, info = self.env.reset(seed=seed, options=options)
        self._frame = self._reduced(seen["screen"])
        return self._frame, info

    def step(self, action: Any) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Holds down the buttons of an action for `frame_skip` tics."""
        seen, reward, terminated, truncated, info = self.env.step(action)
        if not (terminated or truncated):
            self._frame = self._reduced(seen["screen"])
        return self._frame, float(reward), terminated and not truncated, truncated, info

    def _reduced(self, screen: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width, channels = screen.shape
        bands = self._rows @ screen.reshape(height, -1).astype(np.float32)
        frame = np.matmul(self._columns, bands.reshape(-1, width, channels))
        return np.rint(frame[..., 0] if self._gray else frame).astype(np.uint8)


def vizdoom(env_id: str, options: dict[str, Any], frame_size: int) -> AnyEnv:
    """A game in color, or in gray with the option rgb 0; also takes `frame_skip` and the package's options."""
    from r2d2.envs.atari import FRAME_SIZES

    low, high = FRAME_SIZES
    if not low <= frame_size <= high:
        raise EnvError(f"frame_size must be in [{low}, {high}] pixels, got {frame_size}; the paper has 84")
    color = check_flag("rgb", options.get("rgb", 1))
    height, width = DOOM_SCREEN
    settings: dict[str, Any] = {
        "frame_skip": FRAME_SKIP,
        "screen_resolution": f"RES_{width}X{height}",
        "screen_format": "RGB24" if color else "GRAY8",
    } | {key: value for key, value in options.items() if key != "rgb"}
    return DoomFrames(gym.make(env_id, disable_env_checker=True, **settings), frame_size)


def _doom_limit(env: AnyEnv) -> int | None:
    game: Any = env.unwrapped
    tics = int(game.game.get_episode_timeout())
    return None if tics == 0 else -(-tics // int(game.frame_skip))


def _grid_limit(env: AnyEnv) -> int | None:
    return int(env.unwrapped.max_steps)  # type: ignore[attr-defined]


def _gym_limit(env: AnyEnv) -> int | None:
    return getattr(env.unwrapped, "max_episode_length", None)


EXTRAS = (
    Extra("minigrid", ("MiniGrid-", "BabyAI-"), "minigrid", minigrid, _grid_limit),
    Extra("popgym", ("popgym-",), "popgym", popgym, _gym_limit),
    Extra("minatar", ("MinAtar/",), "minatar.gym", minatar, _gym_limit, "register_envs"),
    Extra("vizdoom", ("Vizdoom",), "vizdoom.gymnasium_wrapper", vizdoom, _doom_limit),
)
