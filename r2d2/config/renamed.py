"""Config fields that had another name until version 0.1: old files load, old flags work with a hint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RENAMED: dict[str, str] = {
    "env.count": "env.num_envs",
    "replay.ratio": "replay.replay_ratio",
    "replay.normalise": "replay.normalize",
    "learner.accumulate": "learner.gradient_accumulation_steps",
    "learner.clip_norm": "learner.max_grad_norm",
    "actor.weights_period": "actor.actor_update_period",
}


def modernize(values: Mapping[str, Any]) -> dict[str, Any]:
    """The nested dict of a saved config under the names of today.

    >>> modernize({"env": {"count": 8}})
    {'env': {'num_envs': 8}}
    """
    return {
        section: {_today(section, name): value for name, value in fields.items()}
        if isinstance(fields, Mapping)
        else fields
        for section, fields in values.items()
    }


def _today(section: str, name: str) -> str:
    return RENAMED.get(f"{section}.{name}", f"{section}.{name}").partition(".")[2]
