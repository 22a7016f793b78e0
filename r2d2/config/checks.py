"""Whether a config can run, and what of it may change when a run is resumed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from r2d2.config.bounds import bounds_of
from r2d2.config.config import Config, from_dict, to_dict
from r2d2.config.renamed import modernize


def check_config(config: Config) -> None:
    """Raise ValueError for the first value that no run can have, naming the field, what is allowed and the remedy.

    Reads the config alone, so nothing is opened before: what also depends on the environment is refused when the
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
    r, c = config.replay, config.learner
    if r.alpha_steps and r.selector not in ("proportional", "rank"):
        raise ValueError(
            f"replay.alpha_steps={r.alpha_steps} needs replay.selector proportional or rank, whose alpha it "
            f"changes, got {r.selector}: leave it 0"
        )
    if r.long_term == 1.0:
        raise ValueError("replay.long_term must be below 1: for nothing else use --replay.remover reservoir")
    if c.target_clip and c.discount == 1.0:
        raise ValueError("learner.target_clip needs a learner.discount below 1: without it there is no bound")


def edits(saved: Mapping[str, Any], config: Config) -> list[str]:
    """Every field of the config that the config in a checkpoint has otherwise, for a reader.

    >>> edits({"run": {"seed": 1}}, Config())
    ['run.seed is 0, in the checkpoint 1']
    """
    now, saved = to_dict(config), modernize(saved)
    return [
        f"{section}.{name} is {now[section][name]!r}, in the checkpoint {before!r}"
        for section, fields in saved.items()
        for name, before in fields.items()
        if section in now and name in now[section] and not _same(now[section][name], before)
    ]


def _same(now: Any, before: Any) -> bool:
    return bool(now == (tuple(before) if isinstance(now, tuple) and isinstance(before, list) else before))


def check_same_parts(saved: Mapping[str, Any], config: Config) -> None:
    """Refuse to load a state whose parts were built otherwise; how it is trained further may change."""
    now, saved = to_dict(config), modernize(saved)
    before = saved["run"].get("runtime", "local")
    if (before == "cluster") != (config.run.runtime == "cluster"):
        raise ValueError(
            f"run.runtime is {config.run.runtime} in config.json but {before} in the checkpoint: only local and "
            "threads go on with each other's, put it back"
        )
    for section in ("env", "network", "replay"):
        for name, value in now[section].items():
            before = saved[section].get(name, value)
            if value != before and name not in ("threads", "folder"):
                raise ValueError(
                    f"{section}.{name} is {value} in config.json but {before} in the checkpoint: "
                    "put it back, or start a new run"
                )
