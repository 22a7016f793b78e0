"""An environment id becomes a vector environment with its spec."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from r2d2.envs.atari import ATARI_57, AtariSingle, AtariVector, atari_protocol
from r2d2.envs.extras import Extra, extra_of
from r2d2.envs.flicker import flickering
from r2d2.envs.gym_vector import GymVector
from r2d2.envs.halves import Halves
from r2d2.envs.vector import Checked, EnvError, RecordableEnv, StepResult, VectorEnv

ACCEPTED = (
    "accepted are Atari games ('ALE/Pong-v5'), our own tasks ('Recall-v0'), MiniGrid, POPGym and ViZDoom ids "
    "('MiniGrid-MemoryS7-v0') and any registered gymnasium id with discrete actions and an array as "
    "observation ('CartPole-v1'; 'package:Task-v0' imports the package)"
)

# How gymnasium calls a task that brings its own vector environment.
VECTOR: Any = {"vectorization_mode": "vector_entry_point"}


def make(
    env_id: str,
    num_envs: int,
    *,
    protocol: str = "paper",
    frame_size: int = 84,
    threads: int = 0,
    options: dict[str, Any] | None = None,
    halves: bool = False,
) -> VectorEnv:
    """Builds num_envs slots of an environment, checked at every step; `halves` in two parts (`envs.halves`).

    `protocol` ('paper' or 'machado') and `threads` (0: ALE chooses) concern Atari alone, `frame_size` (pixels
    a side) Atari and ViZDoom; they are ignored elsewhere. `options` overrides fields of the Atari protocol
    ({'max_frames': 400}), or goes to the environment's constructor ({'delay': 10}; 'max_episode_steps' too).
    The option 'flicker' is every environment's: the probability that an observation is blanked.
    Raises EnvError, with what would work, for anything that cannot be built.
    """
    _at_least("num_envs", num_envs, 1)
    _at_least("threads", threads, 0)
    if halves and num_envs > 1:
        sizes = num_envs - num_envs // 2, num_envs // 2
        return Halves(
            [
                make(env_id, n, protocol=protocol, frame_size=frame_size, threads=threads, options=options)
                for n in sizes
            ]
        )
    chosen, flicker = _without_flicker(options)
    env: VectorEnv
    if env_id.startswith("ALE/"):
        rules = atari_protocol(protocol, chosen)
        env = AtariVector(env_id, num_envs, protocol=rules, frame_size=frame_size, threads=threads, rgb=False)
    elif _is_ours(env_id):
        ours = _constructed(env_id, chosen, lambda: gym.make_vec(env_id, num_envs, **VECTOR, **chosen))
        env = GymVector(ours, env_id, ours.max_episode_steps)
    else:
        env = _sync(env_id, num_envs, chosen, frame_size)
    return Checked(flickering(env, flicker))


def make_single(
    env_id: str,
    *,
    protocol: str = "paper",
    frame_size: int = 84,
    options: dict[str, Any] | None = None,
) -> RecordableEnv:
    """Builds one slot that can be filmed with `rgb_frame()`; otherwise it is `make(env_id, 1, ...)`.

    With the same seed and actions its observations equal the vector's, bit for bit. On Atari it runs two
    emulators, so it is half as fast. A film does not flicker.
    """
    chosen, flicker = _without_flicker(options)
    env: AtariSingle | GymVector
    if env_id.startswith("ALE/"):
        env = AtariSingle(env_id, protocol=atari_protocol(protocol, chosen), frame_size=frame_size)
    else:
        env = _sync(env_id, 1, chosen | {"render_mode": "rgb_array"}, frame_size)
    return Recordable(env, flicker)


class Recordable:
    """A checked vector of one slot with a camera."""

    num_envs = 1

    def __init__(self, env: RecordableEnv, flicker: float) -> None:
        self._checked = Checked(flickering(env, flicker))
        self._camera = env
        self.spec = env.spec

    def reset(self, seed: int) -> NDArray[Any]:
        """Restarts the slot; see `VectorEnv.reset`."""
        return self._checked.reset(seed)

    def step(self, action: NDArray[np.int64]) -> StepResult:
        """Acts once (action [1]); see `VectorEnv.step`."""
        return self._checked.step(action)

    def rgb_frame(self) -> NDArray[np.uint8]:
        """The picture a person would see now, [height, width, 3]; the final one after a done."""
        return self._camera.rgb_frame()

    def close(self) -> None:
        """Frees the environment."""
        self._checked.close()


def _at_least(name: str, value: int, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise EnvError(f"{name} must be an integer of at least {low}, got {value!r}")


def _registered(env_id: str) -> gym.envs.registration.EnvSpec:
    """Finds a gymnasium id, or lists the ids it may have meant."""
    try:
        spec = gym.spec(env_id)
    except (gym.error.Error, ImportError) as error:
        close = _close_ids(env_id)
        hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
        raise EnvError(f"env_id {env_id!r} is unknown: {hint}{ACCEPTED}") from error
    if str(spec.entry_point).startswith("ale_py"):
        game = spec.kwargs.get("game", "pong")
        name = "".join(part.capitalize() for part in str(game).split("_"))
        raise EnvError(
            f"env_id {env_id!r} fixes its own frame skip and sticky actions: "
            f"use 'ALE/{name}-v5' and protocol 'paper' or 'machado'"
        )
    if spec.entry_point is None:
        raise EnvError(f"env_id {env_id!r} has no single environment to make slots of; {ACCEPTED}")
    return spec


def _close_ids(env_id: str) -> list[str]:
    """Up to three known ids whose name, without namespace and version, resembles the given one."""
    ids = [f"ALE/{game}-v5" for game in ATARI_57] + [
        key for key in gym.registry if not key.startswith("ALE/")
    ]
    names = {key: re.sub(r"(^.*[/:])|(-v\d+$)", "", key).lower() for key in ids}
    wanted = re.sub(r"(^.*[/:])|(-v\d+$)", "", env_id).lower()
    close = get_close_matches(wanted, set(names.values()), n=3)
    return sorted((key for key in ids if names[key] in close), key=lambda key: close.index(names[key]))[:3]


def _is_ours(env_id: str) -> bool:
    return extra_of(env_id) is None and str(_registered(env_id).vector_entry_point).startswith("r2d2.envs.")


def _without_flicker(options: dict[str, Any] | None) -> tuple[dict[str, Any], float]:
    """Splits the option that concerns every environment from those of one."""
    chosen = {} if options is None else dict(options)
    return chosen, chosen.pop("flicker", 0.0)


def _constructed(env_id: str, options: dict[str, Any], build: Callable[[], Any]) -> Any:
    """Builds the environment and turns what goes wrong in its constructor into one clear error."""
    try:
        return build()
    except EnvError:
        raise
    except (gym.error.DependencyNotInstalled, ImportError) as error:
        raise EnvError(f"{env_id} needs a package that is not installed: {error}") from error
    except (TypeError, ValueError, gym.error.Error) as error:
        raise EnvError(f"{env_id} cannot be built with options {options}: {error}") from error


def _sync(env_id: str, num_envs: int, options: dict[str, Any], frame_size: int) -> GymVector:
    """Single environments one after the other in this process; gymnasium seeds slot i with seed + i."""
    extra = extra_of(env_id)
    spec = _registered(env_id)

    def one() -> Any:
        if extra is not None:
            return extra.build(env_id, options, frame_size)
        return gym.make(env_id, disable_env_checker=True, **options)

    env = SyncVectorEnv(
        [lambda: _constructed(env_id, options, one)] * num_envs,
        copy=False,
        autoreset_mode=AutoresetMode.NEXT_STEP,
    )
    first: Any = env.envs[0]
    asked = options.get("render_mode")
    if asked is not None and asked not in first.metadata.get("render_modes", []):
        raise EnvError(
            f"{env_id} cannot be filmed: its render modes are {first.metadata.get('render_modes')}"
        )
    return GymVector(env, env_id, _longest(first, spec, extra, options))


def _longest(
    first: Any, spec: gym.envs.registration.EnvSpec, extra: Extra | None, options: dict[str, Any]
) -> int | None:
    """The longest episode in steps, as the option, the package, the task or the registry says."""
    limits = [options.get("max_episode_steps", spec.max_episode_steps)]
    if extra is not None:
        limits.append(extra.limit(first))
    if str(spec.vector_entry_point).startswith("r2d2.envs."):
        limits.append(first.unwrapped.max_episode_steps)
    return min((limit for limit in limits if limit is not None), default=None)
