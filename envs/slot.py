"""A third-party environment, checked against gymnasium's rules at every call."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

from r2d2.envs.vector import EnvError

AnyEnv = gym.Env[Any, Any]
NEW_API = (
    "gymnasium's reset(seed=..., options=...) returns (observation, info) and step returns (observation, "
    "reward, terminated, truncated, info): rewrite these two, or wrap the environment with shimmy"
)
# Where a call of an old API fails: in the caller of the environment, not in the environment.
_CALLERS = (Path(gym.__file__).parent / "wrappers", Path(gym.core.__file__), Path(__file__))


class Slot(gym.Wrapper[Any, Any, Any, Any]):
    """Makes an environment's answers match its spaces; `info` is dropped, as nothing reads it.

    A vector cannot hold infos of varying shapes or kinds, so they must not get there. Raises EnvError, which
    names the environment, the call and the remedy, for an answer that breaks gymnasium's rules; exceptions of
    the environment itself are passed on.
    """

    def __init__(self, env: AnyEnv, name: str) -> None:
        super().__init__(env)
        self._name = name

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts an episode."""
        answer = self._called("reset", lambda: self.env.reset(seed=seed, options=options))
        if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[1], dict):
            raise EnvError(f"reset of {self._name} must return 2 values, got {_shown(answer)}: {NEW_API}")
        return self._conforming(self.observation_space, answer[0], "reset"), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Acts once."""
        answer = self._called("step", lambda: self.env.step(action))
        if not isinstance(answer, tuple) or len(answer) != 5:
            raise EnvError(f"step of {self._name} must return 5 values, got {_shown(answer)}: {NEW_API}")
        observation, reward, terminated, truncated, _ = answer
        return (
            self._conforming(self.observation_space, observation, "step"),
            self._number("reward", reward, "biuf", float),
            self._number("terminated", terminated, "biu", bool),
            self._number("truncated", truncated, "biu", bool),
            {},
        )

    def _called(self, call: str, function: Callable[[], Any]) -> Any:
        """The answer to a call; with another API it fails in the caller, before it can be checked."""
        try:
            return function()
        except (TypeError, ValueError) as error:
            if isinstance(error, EnvError) or not any(word in str(error) for word in ("unpack", "argument")):
                raise
            where = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
            if any(where == caller or caller in where.parents for caller in _CALLERS):
                raise EnvError(f"{call} of {self._name} failed ({error}): {NEW_API}") from error
            raise

    def _number(self, name: str, value: Any, kinds: str, kind: Callable[[Any], Any]) -> Any:
        """The number in a scalar or an array of one element."""
        array = np.asarray(value)
        if array.size != 1 or array.dtype.kind not in kinds:
            what = "a number" if kind is float else "True or False"
            raise EnvError(f"{name} of step of {self._name} must be {what}, got {_shown(value)}")
        return kind(array.item())

    def _conforming(self, space: gym.Space[Any], seen: Any, call: str, name: str = "observation") -> Any:
        """The observation in the form of its space; extra keys of a Dict are left out."""
        match space:
            case Dict() | Tuple():
                inner = dict(enumerate(space.spaces)) if isinstance(space, Tuple) else space.spaces
                try:
                    parts = {key: seen[key] for key in inner}
                except (TypeError, KeyError, IndexError):
                    raise self._odd(call, name, seen, space) from None
                whole = {
                    k: self._conforming(part, parts[k], call, f"{name}/{k}") for k, part in inner.items()
                }
                return tuple(whole.values()) if isinstance(space, Tuple) else whole
            case Box():
                return self._array(space, seen, call, name)
            case Discrete():
                array = np.asarray(seen)
                if array.size != 1 or array.dtype.kind not in "iu" or not space.contains(array.item()):
                    raise self._odd(call, name, seen, space)
                return array.item()
            case MultiDiscrete() | MultiBinary():
                array = self._array(space, seen, call, name)
                if not space.contains(array):
                    raise self._odd(call, name, seen, space)
                return array
        return seen

    def _array(self, space: gym.Space[Any], seen: Any, call: str, name: str) -> Any:
        try:
            array = np.asarray(seen)
        except ValueError:  # a ragged list
            raise self._odd(call, name, seen, space) from None
        if array.shape != space.shape or array.dtype.kind not in "biuf":
            raise self._odd(call, name, seen, space)
        if array.dtype == space.dtype:
            return array
        with np.errstate(invalid="ignore", over="ignore"):
            cast = array.astype(space.dtype)
        if not np.can_cast(array.dtype, cast.dtype, "same_kind") and not np.array_equal(cast, array):
            raise self._odd(call, name, seen, space)
        return cast

    def _odd(self, call: str, name: str, seen: Any, space: gym.Space[Any]) -> EnvError:
        return EnvError(
            f"{name} that {call} of {self._name} returned is {_shown(seen)}, not in its space {space}: correct the "
            "environment's observation_space or what it returns"
        )


def _shown(value: Any) -> str:
    """A short description of a value.

    >>> _shown(np.zeros((2, 3))), _shown([1, 2])
    ('float64 [2, 3]', 'a list of 2')
    """
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {list(value.shape)}"
    if isinstance(value, (tuple, list, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) < 60 else type(value).__name__
