"""The tables of a report: runs, scores, differences between settings, provenance."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from r2d2.report import scores
from r2d2.report.intervals import interval
from r2d2.report.run import GREEDY, Run
from r2d2.report.settings import Setting, changes, describe, differences, shown

Cell = str | int | float | None


@dataclass(frozen=True)
class Column:
    """A column: its name, its meaning, and the format of its numbers."""

    name: str
    meaning: str = ""
    shape: str = ""  # a format spec; empty for text


@dataclass(frozen=True)
class Table:
    """Rows of plain values, which sort by their own type."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]] = field(default_factory=tuple)

    def text(self, row: Sequence[Cell]) -> list[str]:
        """A row as it is shown."""
        return [
            "" if cell is None else format(cell, column.shape) if column.shape else str(cell)
            for cell, column in zip(row, self.columns, strict=True)
        ]


STATES = {"running": "running", "done": "done", "stopped": "stopped"}


def runs_table(settings: Sequence[Setting], goal: float | None = None) -> Table:
    """One row per run; with a goal, also when it was reached."""
    games = any(scores.human(s.runs[0].config.env.id) for s in settings)
    columns = [
        Column("run"),
        Column("task"),
        Column("setting", "the preset, its changes, and what differs from the other settings here"),
        Column("seed", shape="d"),
        Column("state"),
        Column("steps", "environment steps", ","),
        Column("updates", "optimizer steps", ","),
        Column("minutes", "training time over all resumes", ",.1f"),
        Column(
            "best", "highest score of an evaluation (greedy; in training if it was never evaluated)", ".4g"
        ),
        Column("last", "score of the last evaluation", ".4g"),
        Column("final", "mean of the last fifth of the evaluations", ".4g"),
    ]
    if games:
        columns.append(Column("human-norm.", "final score: 0 is random play, 1 a professional tester", ".3f"))
    if goal is not None:
        told = f"the first evaluation of at least {goal:g}"
        columns += [
            Column(f"steps to {goal:g}", f"environment steps until {told}", ",.0f"),
            Column(f"minutes to {goal:g}", f"training time until {told}", ",.1f"),
        ]
    columns += [
        Column("steps/s", "environment steps per second of training", ",.0f"),
        Column("ratio", "replay ratio: trained steps per environment step", ".2f"),
    ]
    rows = [_row(setting, run, games, goal) for setting in settings for run in setting.runs]
    return Table(columns, rows)


def _row(setting: Setting, run: Run, games: bool, goal: float | None) -> list[Cell]:
    """One run in `runs_table`."""
    row: list[Cell] = [run.name, run.task, setting.label, run.seed, run.state, run.env_steps, run.updates]
    row += [run.minutes, run.best, run.last, run.final]
    if games:
        game = scores.human(run.config.env.id)
        row.append(None if game is None or run.final is None else game.normalized(run.final))
    if goal is not None:
        row += run.reached(goal) or (None, None)
    row.append(run.env_steps / run.minutes / 60 if run.minutes else None)
    row.append(run.last_value("replay/ratio"))
    return row


def scores_table(settings: Sequence[Setting]) -> Table:
    """One row per setting: scores over its seeds."""
    columns = [
        Column("task"),
        Column("setting"),
        Column("seeds", shape="d"),
        Column("final", "mean over seeds of the final scores", ".4g"),
        Column("95 % interval", "bootstrap over seeds"),
        Column("best", "mean over seeds of the best scores", ".4g"),
        Column("score of", "greedy evaluations, or training episodes where there were none"),
    ]
    rows: list[list[Cell]] = []
    for setting in settings:
        final = [run.final for run in setting.runs if run.final is not None]
        if not final:
            continue
        found = interval(final)
        ends = f"[{found.low:.4g}, {found.high:.4g}]" if np.isfinite(found.low) else "one seed"
        best = float(np.mean([run.best for run in setting.runs if run.best is not None]))
        measure = "evaluation" if setting.runs[0].measure == GREEDY else "training"
        rows.append([setting.task, setting.label, len(final), found.mean, ends, best, measure])
    return Table(columns, rows)


def differences_table(settings: Sequence[Setting]) -> Table:
    """The config fields in which settings differ, one column per setting."""
    found = differences([setting.runs[0].config for setting in settings])
    found = {name: values for name, values in found.items() if name != "run.seed"}
    several = len({setting.task for setting in settings}) > 1
    names = [f"{s.label}, {s.task}" if several else s.label for s in settings]
    rows = [[name, *(shown(value) for value in values)] for name, values in found.items()]
    return Table([Column("field"), *(Column(name) for name in names)], rows)


@dataclass(frozen=True)
class Origin:
    """The provenance of a run, to reproduce it."""

    name: str
    command: str
    facts: dict[str, str]


def origins(runs: Sequence[Run]) -> list[Origin]:
    """Command, changes to the preset, code and machine of each run."""
    return [Origin(run.name, _command(run), _facts(run)) for run in runs]


def _command(run: Run) -> str:
    words = run.provenance[0].get("command", []) if run.provenance else []
    return shlex.join(["r2d2", *map(str, words[1:])]) if words else ""


def _facts(run: Run) -> dict[str, str]:
    facts = {"folder": str(run.path), "preset": run.preset}
    if changed := changes(run):
        facts["changed"] = describe(changed)
    if run.provenance:
        first: dict[str, Any] = dict(run.provenance[0])
        git = first.get("git") or {}
        facts["commit"] = f"{git.get('commit') or 'unknown'}{', with changes' if git.get('dirty') else ''}"
        facts["began"] = str(first.get("started", ""))
        facts["resumed"] = ", ".join(str(entry.get("started", "")) for entry in run.provenance[1:])
        facts["machine"] = f"{first.get('platform', '')}, {first.get('cpus', '?')} CPU cores"
        facts["GPU"] = str(first.get("cuda_device") or "none")
        versions = first.get("versions") or {}
        facts["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    return {name: value for name, value in facts.items() if value}
