"""Where the single environments of an id come from: gymnasium's registry, an extra package, or a function.

`CartPole-v1` is registered; `package:Task-v0` is registered by importing the package; the function or class of
`module:function` or `file.py:function` returns an environment.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from types import ModuleType
from typing import Any

import gymnasium as gym

from r2d2.envs.extras import extra_of
from r2d2.envs.modules import import_named
from r2d2.envs.vector import EnvError

AnyEnv = gym.Env[Any, Any]
ACCEPTED = (
    "accepted are Atari games ('ALE/Pong-v5'), our own tasks ('Recall-v0'), ids of MiniGrid, POPGym, MinAtar and "
    "ViZDoom ('MiniGrid-MemoryS7-v0'), any registered gymnasium id ('CartPole-v1'; 'package:Task-v0' imports the "
    "package that registers it), and 'module:function' or 'file.py:function' that returns an environment"
)


@dataclass(frozen=True)
class Source:
    """Makes the environments of `env_id`, one at each call of `make` with the options chosen.

    `creator` is the class or function behind it, whose parameters are the options. `limit` gives the longest
    episode of an environment, in steps, where its wrappers do not tell. `also` are options that `make` takes
    besides.
    """

    env_id: str
    creator: Callable[..., Any]
    make: Callable[..., AnyEnv]
    limit: Callable[[AnyEnv], int | None] = lambda _: None
    also: tuple[str, ...] = ("max_episode_steps",)
    steps_all_slots: bool = False  # a task of this package, which brings a vector environment of its own

    def takes(self, option: str) -> bool:
        """Whether the constructor may take an option."""
        names, more = parameters(self.creator)
        return more or option in (*names, *self.also)

    def check_options(self, options: dict[str, Any]) -> None:
        """Raise EnvError for an option that the environment's constructor does not take."""
        for name in options:
            if not self.takes(name):
                raise self.unknown(name)

    def unknown(self, option: str) -> EnvError:
        """An error that names what the environment accepts."""
        names = [*parameters(self.creator)[0], *self.also, "flicker"]
        accepted = [name for name in names if name != "render_mode"]
        close = get_close_matches(option, accepted, n=1)
        hint = f", did you mean {close[0]!r}?" if close else ";"
        return EnvError(f"{self.env_id} has no option {option!r}{hint} its options are {', '.join(accepted)}")


def source_of(env_id: str, folder: str, frame_size: int) -> Source:
    """The source of an id's environments; raises EnvError, with close names, for an unknown id."""
    extra = extra_of(env_id)
    if extra is not None:
        registered(env_id)

        def build(**options: Any) -> AnyEnv:
            return extra.build(env_id, options, frame_size)

        return Source(env_id, lambda **_: None, build, extra.limit)
    named, colon, rest = env_id.rpartition(":")
    if not colon:
        return _registered_source(env_id, registered(env_id))
    module = import_named(named, folder, env_id)
    if (spec := _spec(rest)) is not None:
        return _registered_source(env_id, spec)
    return _function_source(env_id, module, rest)


def registered(env_id: str) -> gym.envs.registration.EnvSpec:
    """Finds a gymnasium id, or lists the ids it may have meant."""
    spec = _spec(env_id)
    if spec is None:
        close = close_ids(env_id)
        hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
        raise EnvError(f"env_id {env_id!r} is unknown: {hint}{ACCEPTED}")
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


def _spec(env_id: str) -> gym.envs.registration.EnvSpec | None:
    try:
        return gym.spec(env_id)
    except gym.error.Error:
        return None


def close_ids(env_id: str) -> list[str]:
    """Up to three known ids whose name, without namespace and version, resembles the given one."""
    from r2d2.envs.atari import ATARI_57

    ids = [f"ALE/{game}-v5" for game in ATARI_57] + [
        key for key in gym.registry if not key.startswith("ALE/")
    ]
    names = {key: re.sub(r"(^.*[/:])|(-v\d+$)", "", key).lower() for key in ids}
    wanted = re.sub(r"(^.*[/:])|(-v\d+$)", "", env_id).lower()
    close = get_close_matches(wanted, set(names.values()), n=3)
    return sorted((key for key in ids if names[key] in close), key=lambda key: close.index(names[key]))[:3]


def _registered_source(env_id: str, spec: gym.envs.registration.EnvSpec) -> Source:
    entry = spec.entry_point
    try:
        creator = gym.envs.registration.load_env_creator(entry) if isinstance(entry, str) else entry
    except (ImportError, gym.error.DependencyNotInstalled) as error:
        if ":" in env_id and not isinstance(error, gym.error.DependencyNotInstalled):
            raise  # an error in the user's own module
        raise EnvError(f"{env_id} needs a package that is not installed: {error}") from error
    if inspect.isclass(creator) and not issubclass(creator, gym.Env):
        raise _foreign(env_id, creator)
    assert creator is not None

    def build(**options: Any) -> AnyEnv:
        return gym.make(spec.id, disable_env_checker=True, **options)

    if not str(spec.vector_entry_point).startswith("r2d2.envs."):
        return Source(env_id, creator, build)
    task = partial(spec.kwargs["task"], 1)  # whose options are its own, but for the number of slots

    def longest(env: AnyEnv) -> int:
        return int(env.unwrapped.max_episode_steps)  # type: ignore[attr-defined]

    return Source(env_id, task, build, longest, ("render_mode",), steps_all_slots=":" not in env_id)


def _function_source(env_id: str, module: ModuleType, name: str) -> Source:
    creator: Any = module
    for attribute in name.split("."):
        creator = getattr(creator, attribute, None)
    if not callable(creator):
        raise EnvError(
            f"env_id {env_id!r}: {module.__file__} neither registers {name!r} with gymnasium nor has a function or "
            f"class of this name; it has {_offers(module)}"
        )

    def build(**options: Any) -> AnyEnv:
        limit = options.pop("max_episode_steps", None)
        env = creator(**options)
        if not isinstance(env, gym.Env):
            raise _foreign(env_id, type(env))
        return env if limit is None else gym.wrappers.TimeLimit(env, limit)

    return Source(env_id, creator, build)


def _offers(module: ModuleType) -> str:
    package = module.__name__.partition(".")[0]
    ids = [key for key, spec in gym.registry.items() if _home(spec.entry_point).partition(".")[0] == package]
    public = ((name, value) for name, value in vars(module).items() if not name.startswith("_"))
    own = [name for name, value in public if callable(value) and _home(value) == module.__name__]
    return ", ".join(ids + own) or "none"


def _home(entry: Any) -> str:
    """The module of an entry point, which may be a string or a function."""
    return entry.partition(":")[0] if isinstance(entry, str) else str(getattr(entry, "__module__", ""))


def _foreign(env_id: str, kind: type) -> EnvError:
    old = any(base.__module__.split(".")[0] == "gym" for base in kind.__mro__)
    return EnvError(
        f"{env_id} gives a {kind.__module__}.{kind.__qualname__}, which is no gymnasium.Env: "
        + ("the package gym is the predecessor of gymnasium; " if old else "")
        + "inherit from gymnasium.Env, or wrap it with shimmy"
    )


def parameters(creator: Callable[..., Any]) -> tuple[list[str], bool]:
    """The names of a constructor's keyword arguments, and whether it takes others as well.

    A constructor with **kwargs usually passes them to its base classes.

    >>> parameters(gym.envs.classic_control.CartPoleEnv), parameters(lambda size=8, **more: None)
    ((['sutton_barto_reward', 'render_mode'], False), (['size'], True))
    """
    names: list[str] = []
    for one in creator.__mro__ if inspect.isclass(creator) else (creator,):
        function = vars(one).get("__init__") if inspect.isclass(one) else one
        if function is None or function is object.__init__:
            continue
        try:
            found = list(inspect.signature(function).parameters.values())[inspect.isclass(one) :]
        except (TypeError, ValueError):
            return names, True
        named = [p.name for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        names += [name for name in named if name not in names]
        if not any(p.kind == p.VAR_KEYWORD for p in found):
            return names, False
    return names, True
