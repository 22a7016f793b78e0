"""Settings: groups of runs that differ only in their seed, and the differences between groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from r2d2.config import Config, to_dict
from r2d2.config.changes import CHANGES
from r2d2.config.presets import PRESETS, preset
from r2d2.report.run import Run

# Fields in which runs of one setting may differ: the seed, and fields that do not affect results, or only how long
# a run is and how often it logs.
FREE = frozenset(
    f"run.{name}"
    for name in (
        "seed",
        "steps",
        "threads",
        "prefetch",
        "log_period",
        "checkpoint_period",
        "evaluate_period",
        "evaluate_episodes",
        "video_period",
        "stop_return",
        "track",
        "group",
        "tags",
        "upload_policy",
    )
) | {"env.threads", "env.folder"}


@dataclass(frozen=True)
class Setting:
    """Runs of one task and one config, which differ only in their seed."""

    task: str
    label: str  # its difference from the other settings of the report
    runs: Sequence[Run]


def flat(config: Config) -> dict[str, Any]:
    """A config as `section.field` -> value."""
    return {
        f"{section}.{name}": tuple(value) if isinstance(value, list) else value
        for section, fields in to_dict(config).items()
        for name, value in fields.items()
    }


def differences(configs: Sequence[Config]) -> dict[str, list[Any]]:
    """The fields that differ between configs, with the value in each."""
    fields = [flat(config) for config in configs]
    return {
        name: [values[name] for values in fields]
        for name in fields[0]
        if any(values[name] != fields[0][name] for values in fields)
    }


def changes(run: Run) -> dict[str, Any]:
    """The fields in which a run differs from its preset, without the task, the seed and those without effect."""
    base, *named = run.preset.split("+")
    if base not in PRESETS or any(name not in CHANGES for name in named):
        return {}
    begun, now = flat(preset(run.preset)), flat(run.config)
    free = FREE | {"env.id", "env.options"}
    return {name: now[name] for name in now if now[name] != begun[name] and name not in free}


def describe(values: dict[str, Any]) -> str:
    """Fields as `burn_in=5, core=gru`.

    >>> describe({"replay.burn_in": 5, "learner.precision": "auto"})
    'burn_in=5, precision=auto'
    """
    return ", ".join(f"{name.rpartition('.')[2]}={shown(value)}" for name, value in values.items())


def shown(value: Any) -> str:
    """A short form of a config value."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def settings(runs: Iterable[Run]) -> list[Setting]:
    """The runs by task and setting, in the given order.

    A setting is named after its preset, and the fields in which it differs from others of the same preset.
    """
    groups: dict[Any, list[Run]] = {}
    for run in runs:
        fields = {name: value for name, value in flat(run.config).items() if name not in FREE}
        groups.setdefault((run.task, run.preset, repr(fields)), []).append(run)
    made = []
    for (task, name, _), members in groups.items():
        same = [others for (t, p, _), others in groups.items() if (t, p) == (task, name)]
        differs = differences([others[0].config for others in same])
        own = flat(members[0].config)
        extra = describe({field: own[field] for field in differs if field not in FREE})
        made.append(Setting(task, f"{name}, {extra}" if extra else name, members))
    return made
