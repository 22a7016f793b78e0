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


# Fields that have other values too under their new name.
REPLACED: dict[str, tuple[str, dict[Any, Any]]] = {
    "network.dueling": ("network.head", {True: "dueling", False: "plain"}),
}


def modernize(values: Mapping[str, Any]) -> dict[str, Any]:
    """The nested dict of a saved config under the names of today.

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


def modern_words(word: str) -> list[str]:
    """A word of a command line, or the words that stand for it today.

    >>> modern_words("--replay.ratio=2")
    ['--replay.replay-ratio=2']
    >>> modern_words("--network.no-dueling")
    ['--network.head', 'plain']
    """
    flag, equals, value = word.partition("=")
    path = flag.removeprefix("--").replace("-", "_") if flag.startswith("--") else ""
    for old, (new, values) in REPLACED.items():  # these were switches, as --network.no-dueling
        if path in (old, old.replace(".", ".no_")):
            return [_flag(new), str(values[path == old])]
    return [_flag(RENAMED[path]) + equals + value] if path in RENAMED else [word]


def _flag(path: str) -> str:
    return "--" + path.replace("_", "-")
