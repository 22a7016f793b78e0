"""Config: everything that determines a run, as frozen dataclasses with unit and source of each number.

The defaults are the values of the R2D2 paper (Kapturowski et al. 2019, table 2 and section 2.3) where it
gives one. Each section is a file of its own, in which every number has its bounds and its docstring; the command
line is made from them. Presets are Config values in `config/presets.py`.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from r2d2.config.actor import ActorConfig
from r2d2.config.bounds import bounds_of
from r2d2.config.cluster import ClusterConfig
from r2d2.config.combinations import check_combinations
from r2d2.config.env import EnvConfig
from r2d2.config.learner import LearnerConfig
from r2d2.config.network import NetworkConfig
from r2d2.config.replay import ReplayConfig
from r2d2.config.run import RunConfig

# Config fields that had another name until version 0.1: old files load, old flags work with a hint.
RENAMED: dict[str, str] = {
    "env.count": "env.num_envs",
    "replay.ratio": "replay.replay_ratio",
    "replay.normalise": "replay.normalize",
    "learner.accumulate": "learner.gradient_accumulation_steps",
    "learner.clip_norm": "learner.max_grad_norm",
    "actor.weights_period": "actor.actor_update_period",
}
# Fields that have other values too under their new name.
REPLACED: dict[str, tuple[str, dict[Any, Any]]] = {
    "network.dueling": ("network.head", {True: "dueling", False: "plain"}),
}


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

    A missing key, of a run from before it existed, takes its default; a key that has been renamed since is read
    under its old name.
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
    accepted = (*allowed, int) if float in allowed else tuple(allowed)  # an integer is accepted for a float
    if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in allowed):
        names = " | ".join("None" if one is type(None) else one.__name__ for one in allowed)
        raise ValueError(f"{name} must be {names}, got {value!r}")


def modernize(values: Mapping[str, Any]) -> dict[str, Any]:
    """The nested dict of a saved config under today's names.

    >>> modernize({"env": {"count": 8}})
    {'env': {'num_envs': 8}}
    >>> modernize({"network": {"dueling": False}})
    {'network': {'head': 'plain'}}
    """
    return {
        section: dict(_today(section, *field) for field in fields.items())
        if isinstance(fields, Mapping)
        else fields
        for section, fields in values.items()
    }


def _today(section: str, name: str, value: Any) -> tuple[str, Any]:
    path = f"{section}.{name}"
    if path in REPLACED:
        path, values = REPLACED[path]
        value = values.get(value, value)
    return RENAMED.get(path, path).partition(".")[2], value


def check_config(config: Config) -> None:
    """Raise ValueError for the first invalid value, naming the field, what is allowed and the remedy.

    Checks only the config, before anything is opened: what also depends on the environment is checked when the
    parts are built.
    """
    from_dict(to_dict(config))  # refuses values of the wrong type
    check_numbers(config)
    _check_options(config)
    _check_items(config)
    check_combinations(config)


def check_numbers(config: Config) -> None:
    """Raise ValueError for the first number outside of the bounds that stand beside its field."""
    for section in dataclasses.fields(config):
        part = getattr(config, section.name)
        for name, bounds in bounds_of(type(part)).items():
            value = getattr(part, name)
            if value is not None and not bounds.holds(value):
                raise ValueError(f"{section.name}.{name} must be {bounds}, got {value}")


def _check_options(config: Config) -> None:
    """What config.json could not give back, such as a tuple or a class, would be another run's."""
    options = config.env.options
    try:
        same = json.loads(json.dumps(options, allow_nan=False)) == options
    except (TypeError, ValueError):
        same = False
    if not same:
        raise ValueError(
            "env.options must be names with JSON values (numbers, strings, booleans, None, lists, dicts), "
            f"got {options}"
        )


def _check_items(config: Config) -> None:
    r = config.replay
    if r.period > r.unroll:
        raise ValueError(
            f"replay.period must be in [1, unroll={r.unroll}] so that no action is skipped, got {r.period}"
        )
    rows = config.network.stack - 1 + r.burn_in + r.unroll + r.n_step
    if r.steps < rows:
        raise ValueError(
            f"replay.steps must be at least the {rows} rows of one item (network.stack - 1 + burn_in + unroll + "
            f"n_step), got {r.steps}"
        )
