"""What of a config may change when a run is resumed, and what has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from r2d2.config.config import Config, modernize, to_dict


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
    for section in ("env", "network", "replay"):  # elsewhere the dataset is known by its content
        for name, value in now[section].items():
            before = saved[section].get(name, value)
            moved = name == "demonstrations" and value and before
            if value != before and not moved and name not in ("threads", "folder"):
                raise ValueError(
                    f"{section}.{name} is {value} in config.json but {before} in the checkpoint: "
                    "put it back, or start a new run"
                )
