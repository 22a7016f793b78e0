"""Builds a vector environment, with its spec, from an environment id."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from r2d2.envs.gym_vector import GymVector
from r2d2.envs.halves import Halves
from r2d2.envs.observations import Chosen
from r2d2.envs.slot import Slot
from r2d2.envs.sources import Source, source_of
from r2d2.envs.vector import Checked, EnvError, Observation, RecordableEnv, StepResult, VectorEnv

ATARI = "ALE/"  # how ids of Atari games begin
FILM = "rgb_array"  # the render mode that gives pictures
# What gymnasium calls a task that brings its own vector environment.
VECTOR: Any = {"vectorization_mode": "vector_entry_point"}


def make(
    env_id: str,
    num_envs: int,
    *,
    protocol: str = "paper",
    frame_size: int = 84,
    threads: int = 0,
    options: dict[str, Any] | None = None,
    channels: Chosen = "auto",
    folder: str = "",
    halves: bool = False,
) -> VectorEnv:
    """Builds num_envs slots of an environment, checked at every step; `halves` in two parts (`envs.halves`).

    `protocol` ('paper' or 'machado') and `threads` (0: ALE chooses) concern Atari alone, `frame_size` (pixels
    per side) Atari and ViZDoom; they are ignored elsewhere. `options` overrides fields of the Atari protocol
    ({'max_frames': 400}), or goes to the environment's constructor ({'delay': 10}; 'max_episode_steps' too).
    Every environment takes the option 'flicker': the probability that an observation is blanked. `channels` says
    which axis of an image holds them (`envs.observations.parts_of`); `folder` is where the module of
    'module:Task-v0' may be (`envs.modules`).
    Raises EnvError, with what would work, for anything that cannot be built; exceptions of the environment's own
    code are passed on.
    """
    _at_least("num_envs", num_envs, 1)
    _at_least("threads", threads, 0)
    sizes = [num_envs - num_envs // 2, num_envs // 2] if halves and num_envs > 1 else [num_envs]
    made = [_make(env_id, n, protocol, frame_size, threads, options, channels, folder) for n in sizes]
    return made[0] if len(made) == 1 else Halves(made)


def _make(
    env_id: str,
    num_envs: int,
    protocol: str,
    frame_size: int,
    threads: int,
    options: dict[str, Any] | None,
    channels: Chosen,
    folder: str,
) -> VectorEnv:
    chosen = dict(options or {})
    flicker = chosen.pop("flicker", None)
    env: VectorEnv
    if env_id.startswith(ATARI):
        from r2d2.envs.atari import AtariVector, atari_protocol

        rules = atari_protocol(protocol, chosen)
        env = AtariVector(env_id, num_envs, protocol=rules, frame_size=frame_size, threads=threads, rgb=False)
        return _checked(env, flicker)
    source = source_of(env_id, folder, frame_size)
    if source.steps_all_slots:
        source.check_options(chosen)
        ours: Any = gym.make_vec(env_id, num_envs, **VECTOR, **chosen)
        env = GymVector(ours, env_id, ours.max_episode_steps)
    else:
        env = _sync(source, num_envs, chosen, channels)
    return _checked(env, flicker)


def make_single(
    env_id: str,
    *,
    protocol: str = "paper",
    frame_size: int = 84,
    options: dict[str, Any] | None = None,
    channels: Chosen = "auto",
    folder: str = "",
) -> RecordableEnv:
    """Builds one slot that can be recorded with `rgb_frame()`; otherwise it equals `make(env_id, 1, ...)`.

    With the same seed and actions its observations equal the vector's, bit for bit. On Atari it runs two
    emulators, so it is half as fast. A video does not flicker.
    """
    chosen = dict(options or {})
    flicker = chosen.pop("flicker", None)
    env: RecordableEnv
    if env_id.startswith(ATARI):
        from r2d2.envs.atari import AtariSingle, atari_protocol

        env = AtariSingle(env_id, protocol=atari_protocol(protocol, chosen), frame_size=frame_size)
    else:
        env = _sync(source_of(env_id, folder, frame_size), 1, chosen, channels, filmed=True)
    return Recordable(env, flicker)


class Recordable:
    """A checked vector of one slot with a camera."""

    num_envs = 1

    def __init__(self, env: RecordableEnv, flicker: float | None) -> None:
        self._checked = _checked(env, flicker)
        self._camera = env
        self.spec = env.spec

    def reset(self, seed: int) -> Observation:
        """Restarts the slot; see `VectorEnv.reset`."""
        return self._checked.reset(seed)

    def step(self, action: NDArray[Any]) -> StepResult:
        """Acts once (action [1] or [1, size]); see `VectorEnv.step`."""
        return self._checked.step(action)

    def rgb_frame(self) -> NDArray[np.uint8]:
        """The current picture for a person, [height, width, 3]; after a done, the final one."""
        return self._camera.rgb_frame()

    def close(self) -> None:
        """Frees the environment."""
        self._checked.close()


def _at_least(name: str, value: int, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise EnvError(f"{name} must be an integer of at least {low}, got {value!r}")


def _checked(env: VectorEnv, flicker: float | None) -> Checked:
    """The environment with checks and flicker; `flicker` is the probability of a blank observation."""
    if flicker is None:
        return Checked(env)
    from r2d2.envs.flicker import flickering

    return Checked(flickering(env, flicker))


def _sync(
    source: Source, num_envs: int, options: dict[str, Any], channels: Chosen, *, filmed: bool = False
) -> GymVector:
    """Single environments one after the other in this process; gymnasium seeds slot i with seed + i."""
    source.check_options(options)
    if filmed and source.takes("render_mode"):
        options = options | {"render_mode": FILM}
    slots = [Slot(_built(source, options), f"{source.env_id} (slot {i})") for i in range(num_envs)]
    _check_same(slots, source.env_id)
    mode, modes = slots[0].render_mode, slots[0].metadata.get("render_modes", [])
    if filmed and not FILM == mode in modes:
        raise EnvError(
            f"{source.env_id} cannot be filmed: its render_mode is {mode!r}, and its metadata name the modes "
            f"{modes}; {FILM!r} must be both"
        )
    made = iter(slots)
    env = SyncVectorEnv([lambda: next(made)] * num_envs, copy=False, autoreset_mode=AutoresetMode.NEXT_STEP)
    return GymVector(env, source.env_id, _longest(slots[0], source), channels)


def _built(source: Source, options: dict[str, Any]) -> Any:
    """One environment; a missing package or an unknown option raises one clear error."""
    try:
        return source.make(**options)
    except EnvError:
        raise
    except gym.error.DependencyNotInstalled as error:
        raise EnvError(f"{source.env_id} needs a package that is not installed: {error}") from error
    except TypeError as error:
        for name in options:
            if f"unexpected keyword argument '{name}'" in str(error):
                raise source.unknown(name) from error
        error.add_note(f"This happened while {source.env_id} was built with options {options}.")
        raise
    except Exception as error:
        error.add_note(f"This happened while {source.env_id} was built with options {options}.")
        raise


def _check_same(slots: list[Slot], env_id: str) -> None:
    """Refuse environments that cannot be slots of one vector."""
    first = slots[0]
    for i, slot in enumerate(slots[1:], 1):
        if slot.unwrapped is first.unwrapped:
            raise EnvError(f"{env_id} gave the same environment twice: make a new one at each call")
        for name in ("observation_space", "action_space"):
            one, other = getattr(first, name), getattr(slot, name)
            if one != other:
                raise EnvError(
                    f"the {name} of {env_id} differs between copies, {one} in slot 0 and {other} in slot {i}: "
                    "let it depend on the constructor's arguments alone, and give these as options"
                )


def _longest(first: Slot, source: Source) -> int | None:
    """The longest episode in steps, from the time limit wrappers, the package or the task; None if unlimited."""
    limits = [source.limit(first)]
    layer: Any = first
    while isinstance(layer, gym.Wrapper):
        if isinstance(layer, gym.wrappers.TimeLimit):
            limits.append(layer._max_episode_steps)
        layer = layer.env
    return min((limit for limit in limits if limit is not None), default=None)
