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
    _check_methods(config)


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


def _check_methods(config: Config) -> None:
    r, c, n = config.replay, config.learner, config.network
    if r.alpha_steps and r.selector not in ("proportional", "rank"):
        raise ValueError(
            f"replay.alpha_steps={r.alpha_steps} needs replay.selector proportional or rank, whose alpha it "
            f"changes, got {r.selector}: leave it 0"
        )
    if r.long_term == 1.0:
        raise ValueError("replay.long_term must be below 1: for nothing else use --replay.remover reservoir")
    if r.demonstrations:
        _check_demonstrations(config)
    if c.reset_period and c.reset_shrink == 1.0 and not c.reset_heads:
        raise ValueError(
            f"learner.reset_period={c.reset_period} resets nothing with learner.reset_shrink 1 and "
            "learner.reset_heads false: lower the first, or leave the period 0"
        )
    if c.reset_states == "zero" and r.initial_state != "stored":
        raise ValueError(
            "learner.reset_states zero needs replay.initial_state stored, got "
            f"{r.initial_state}: zero states never grow old, and refreshed ones are replaced when they are trained"
        )
    if c.graphs and c.learning_rate_end != 1.0:
        raise ValueError(
            "learner.learning_rate_end must be 1 with learner.graphs, which keep the rate they began with"
        )
    if c.munchausen and r.first_priority == "actor":
        raise ValueError(
            "learner.munchausen needs replay.first_priority highest: the actor does not record what its bonus is "
            "made of; add +munchausen to the preset, or --replay.first-priority highest"
        )
    if c.normalize_td_errors and r.first_priority == "actor":
        raise ValueError(
            "learner.normalize_td_errors needs replay.first_priority highest: the actor does not know the scale of "
            "TD errors; add +td-normalization to the preset, or --replay.first-priority highest"
        )
    if c.scales_td_errors and c.gradient_accumulation_steps > 1:
        raise ValueError(
            f"learner.gradient_accumulation_steps must be 1 with {_scaling(c)}, got "
            f"{c.gradient_accumulation_steps}: a standard deviation needs the errors of the whole batch"
        )
    if n.value_low >= n.value_high:
        raise ValueError(
            f"network.value_low must be below network.value_high={n.value_high}, got {n.value_low}"
        )
    if n.head in ("c51", "hl-gauss", "quantile"):
        _check_distributional(config)
    of_impala = ("torso_width", "torso_pool", "torso_norm", "spectral_norm")
    changed = [name for name in of_impala if getattr(n, name) != getattr(NetworkConfig(), name)]
    if changed and n.torso != "impala":
        raise ValueError(f"network.{changed[0]} needs network.torso impala, got {n.torso}: leave it as it is")
    if n.context == "frozen":
        _check_frozen_context(config)
    if c.target_clip and c.discount == 1.0:
        raise ValueError("learner.target_clip needs a learner.discount below 1: without it there is no bound")
    if c.method != "q_learning":
        _check_policy_method(config)


def _scaling(c: LearnerConfig) -> str:
    """The option that makes the scale of TD errors matter."""
    return "learner.normalize_td_errors" if c.normalize_td_errors else "learner.trust_region"


def _check_frozen_context(config: Config) -> None:
    """What a fixed encoder, whose features are stored, cannot go with."""
    n = config.network
    refused = (
        (n.core == "none", "network.core none", "it is the context of a recurrent core"),
        (n.normalize, "network.normalize", "stored features are of observations in units that do not change"),
        (
            config.replay.hindsight != "none",
            f"replay.hindsight {config.replay.hindsight}",
            "copies have other goals than those that the stored features are of",
        ),
        (
            config.cluster.inference == "central",
            "cluster.inference central",
            "actors compute the features that they record",
        ),
    )
    for given, what, why in refused:
        if given:
            raise ValueError(f"network.context frozen does not go with {what}: {why}")


def _check_demonstrations(config: Config) -> None:
    share = config.replay.demonstration_share
    if not 0.0 < share < 1.0:
        raise ValueError(
            "replay.demonstration_share must be above 0 and below 1 with replay.demonstrations, got "
            f"{share:g}: for nothing but a dataset fill a replay with it (docs/datasets.md)"
        )
    if config.run.runtime == "cluster":
        raise ValueError(
            "replay.demonstrations needs run.runtime local or threads, got cluster: its shards are filled "
            "by actors alone, and each would hold, prioritize and save the whole dataset"
        )


def _check_distributional(config: Config) -> None:
    """Values that mean nothing for a head that has a loss of its own."""
    n, c = config.network, config.learner
    if c.method != "q_learning":
        raise ValueError(
            f"network.head {n.head} is for learner.method q_learning, got {c.method}: leave it dueling"
        )
    if n.head != "hl-gauss" and (c.target != "n-step" or c.munchausen):
        raise ValueError(
            f"network.head {n.head} needs learner.target n-step and learner.munchausen 0, with which the "
            f"distribution of a return is known, got {c.target} and {c.munchausen}: network.head hl-gauss takes "
            "any target"
        )
    if c.scales_td_errors or c.bootstrap != "target":
        raise ValueError(
            f"network.head {n.head} has a loss of its own, towards the target network's values: leave "
            f"{_scaling(c) if c.scales_td_errors else 'learner.bootstrap'} as it is"
        )
    if n.head == "quantile":
        if c.loss != "huber" or config.replay.priority == "lap":
            raise ValueError(
                "network.head quantile is trained by the quantile Huber loss: learner.loss must be huber and "
                "replay.priority mixed, since LAP is about TD errors; add +quantile to the preset"
            )
    elif c.loss != "squared" or config.replay.priority == "lap":
        raise ValueError(
            f"network.head {n.head} is trained by cross-entropy: learner.loss must be squared and replay.priority "
            "mixed, since Huber's loss and LAP, which goes with it, are of TD errors"
        )


def _check_policy_method(config: Config) -> None:
    """Values that mean something for counted actions alone."""
    c = config.learner
    if c.rescaling:
        raise ValueError(
            f"learner.rescaling must be false with learner.method {c.method}: its values are sums of rewards"
        )
    if c.target != "n-step" or c.munchausen:
        raise ValueError(
            f"learner.target must be n-step and learner.munchausen 0 with learner.method {c.method}: others are "
            "for counted actions"
        )
    if c.scales_td_errors or c.bootstrap != "target":
        raise ValueError(
            f"{_scaling(c) if c.scales_td_errors else 'learner.bootstrap online'} is for learner.method "
            f"q_learning, got {c.method}: leave it as it is"
        )
    if c.graphs and c.policy_period > 1:
        raise ValueError(
            f"learner.graphs needs learner.policy_period 1, got {c.policy_period}: a graph repeats one update"
        )
    if config.actor.exploration == "ladder":
        raise ValueError(
            f"actor.exploration must be noise or linear with learner.method {c.method}, got ladder, which is "
            "for counted actions"
        )
