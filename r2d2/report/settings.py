"""Settings: which runs differ in their seed alone, and what tells the others apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from r2d2.config import Config, to_dict
from r2d2.config.changes import CHANGES
from r2d2.config.presets import PRESETS, preset
from r2d2.report.run import Run

# What two runs of one setting may differ in: the seed, and what decides no number or only how long and how often.
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
    """Runs of one task and one config, which differ in their seed alone."""

    task: str
    label: str  # what tells it apart from the other settings of the report
    runs: Sequence[Run]


def flat(config: Config) -> dict[str, Any]:
    """A config as `section.field` -> value."""
    return {
        f"{section}.{name}": tuple(value) if isinstance(value, list) else value
        for section, fields in to_dict(config).items()
        for name, value in fields.items()
    }


def differences(configs: Sequence[Config]) -> dict[str, list[Any]]:
    """The fields that are not the same in all configs, with the value of each."""
    fields = [flat(config) for config in configs]
    return {
        name: [values[name] for values in fields]
        for name in fields[0]
        if any(values[name] != fields[0][name] for values in fields)
    }


def changes(run: Run) -> dict[str, Any]:
    """The fields of a run that its preset has otherwise, but for the task, the seed and what decides no number."""
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
    """A value of a config, short."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def settings(runs: Iterable[Run]) -> list[Setting]:
    """The runs by task and setting, in the order in which they came.

    A setting is called by its preset, and by the fields in which it differs from another of its preset.
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
