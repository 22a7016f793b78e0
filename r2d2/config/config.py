"""Config: everything that decides a run, as frozen dataclasses with unit and source of each number.

The defaults are the values of the R2D2 paper (Kapturowski et al. 2019, table 2 and section 2.3) where it
gives one. Each section is a file of its own, in which every number has its bounds and its docstring; the command
line is made from them. Presets are Config values in `config/presets.py`.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from r2d2.config.actor import ActorConfig
from r2d2.config.cluster import ClusterConfig
from r2d2.config.env import EnvConfig
from r2d2.config.learner import LearnerConfig
from r2d2.config.network import NetworkConfig
from r2d2.config.renamed import modernize
from r2d2.config.replay import ReplayConfig
from r2d2.config.run import RunConfig


@dataclass(frozen=True)
class Config:
    """A whole run."""

    env: EnvConfig = field(default_factory=EnvConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    actor: ActorConfig = field(default_factory=ActorConfig)
    run: RunConfig = field(default_factory=RunConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)


def to_dict(config: Any) -> dict[str, Any]:
    """Plain nested dicts that JSON can hold."""
    return dataclasses.asdict(config)


def from_dict(values: Mapping[str, Any], cls: Any = Config, path: str = "") -> Any:
    """The config that `to_dict` gave; an unknown key is an error with a suggestion.

    A key that is missing, since the run was begun before it existed, takes its default; one that has been renamed
    since is taken under its old name.
    """
    hints = typing.get_type_hints(cls)
    values = modernize(values) if cls is Config else values
    unknown = [key for key in values if key not in hints]
    if unknown:
        near = difflib.get_close_matches(unknown[0], hints, 1)
        hint = f": did you mean {path}{near[0]}?" if near else f": known are {', '.join(sorted(hints))}"
        raise ValueError(f"unknown config key {path}{unknown[0]}{hint}")
    arguments = {}
    for key, value in values.items():
        kind = hints[key]
        if dataclasses.is_dataclass(kind):
            value = from_dict(value, kind, f"{path}{key}.")
        elif typing.get_origin(kind) is tuple and isinstance(value, list):  # JSON has no tuples
            value = tuple(value)
        _check_type(f"{path}{key}", value, kind)
        arguments[key] = value
    return cls(**arguments)


def _check_type(name: str, value: Any, kind: Any) -> None:
    origin = typing.get_origin(kind)
    if origin is Literal:
        if value not in typing.get_args(kind):
            raise ValueError(
                f"{name} must be one of {', '.join(map(str, typing.get_args(kind)))}, got {value!r}"
            )
        return
    allowed = typing.get_args(kind) if origin in (types.UnionType, typing.Union) else (origin or kind,)
    accepted = (*allowed, int) if float in allowed else tuple(allowed)  # a whole number will do for a float
    if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in allowed):
        names = " | ".join("None" if one is type(None) else one.__name__ for one in allowed)
        raise ValueError(f"{name} must be {names}, got {value!r}")
