"""The report of some runs: a page, PNG files, and the numbers behind them as CSV."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from r2d2.errors import UserError, how_to_install
from r2d2.report import figures, table
from r2d2.report.curves import kept
from r2d2.report.page import Group, Section, page
from r2d2.report.run import GREEDY, TRAINING, Run, read_runs
from r2d2.report.settings import Setting, settings

PAGE = "report.html"
RETURNS = (TRAINING, GREEDY)


def write(paths: Sequence[Path], out: Path, goal: float | None = None) -> Path:
    """Write the report of the runs in these folders into the folder `out`; returns the page.

    `goal` is a return to mark in the learning curves; the table of runs shows when it was first reached.

    Raises UserError if there is no run, or if matplotlib or plotly are missing.
    """
    check_installed()
    from r2d2.report.png import draw

    runs = read_runs(paths)
    found = settings(runs)
    sections = list(_sections(found, goal))
    out.mkdir(parents=True, exist_ok=True)
    for section in sections:
        for group in section.groups:
            for figure in group.figures:
                draw(figure, out / f"{figure.name}.png")
    write_table(table.runs_table(found, goal), out / "runs.csv")
    write_table(table.scores_table(found), out / "scores.csv")
    write_curves(found, RETURNS, out / "curves.csv")
    write_curves(found, [diagnostic.metric for diagnostic in figures.DIAGNOSTICS], out / "diagnostics.csv")
    file = out / PAGE
    partial = file.with_suffix(".partial")
    partial.write_text(_page(paths, runs, sections), encoding="utf-8")
    partial.replace(file)
    return file


def check_installed() -> None:
    """Raise UserError, with the remedy, if a plotting package is missing."""
    try:
        import matplotlib  # noqa: F401
        import plotly  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(f"figures need {error.name}: {how_to_install('report')}") from None


def _page(paths: Sequence[Path], runs: Sequence[Run], sections: Sequence[Section]) -> str:
    names = ", ".join(path.name or str(path.resolve()) for path in paths)
    tasks = list(dict.fromkeys(run.task for run in runs))
    what = ", ".join(tasks) if len(tasks) < 4 else f"{len(tasks)} tasks"
    counts = f"{len(runs)} run{'s' if len(runs) > 1 else ''} of {what}"
    alive = sum(run.state == "running" for run in runs)
    when = time.strftime("%Y-%m-%d %H:%M")
    subtitle = f"{counts}. Made {when}" + (
        f"; {alive} still running: run it again for newer numbers." if alive else "."
    )
    footer = (
        "Made by r2d2 report. Charts: drag to zoom, double-click to go back, click a name to hide it. The "
    )
    footer += "numbers are in the CSV files beside this page."
    return page(names, subtitle, sections, footer, files=True)


def _sections(found: Sequence[Setting], goal: float | None) -> Iterable[Section]:
    palette = figures.colors(found)
    tasks = [[s for s in found if s.task == task] for task in dict.fromkeys(s.task for s in found)]
    yield Section("runs", "Runs", tables=[table.runs_table(found, goal)])
    scored = table.scores_table(found)
    if len(found) < sum(len(setting.runs) for setting in found):
        yield Section("scores", "Scores", "Final: the mean of the last fifth of the evaluations.", [scored])
    yield Section(
        "learning",
        "Learning curves",
        "Solid lines are greedy evaluations, dotted ones training episodes with exploration: click their names.",
        groups=[Group("", [f for own in tasks for f in figures.learning(own, palette, goal)])],
    )
    if over := figures.over_tasks(found, palette):
        yield Section("tasks", "Over tasks", groups=[Group("", over)])
    several = len(tasks) > 1
    groups = [Group(own[0].task if several else "", figures.diagnostics(own, palette)) for own in tasks]
    yield Section("learner", "Learner and replay", groups=[group for group in groups if group.figures])
    heats = [(figures.priorities(s.runs[0], s.label)) for s in found]
    if shown := [heat for heat in heats if heat is not None]:
        yield Section("priorities", "Priorities", groups=[Group("", shown)])
    differs = table.differences_table(found)
    if differs.rows:
        yield Section("differences", "Differences", "Config fields in which the settings differ.", [differs])
    yield Section(
        "provenance",
        "Provenance",
        "The command that began each run, and where it ran.",
        origins=table.origins([run for setting in found for run in setting.runs]),
    )


def write_table(rows: table.Table, path: Path) -> None:
    """A table as CSV, with numbers of six digits."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(column.name for column in rows.columns)
        for row in rows.rows:
            writer.writerow(f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row)


def write_curves(found: Sequence[Setting], names: Sequence[str], path: Path) -> None:
    """Metrics of each run as CSV, one line per time; for long runs the points that the figures show."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["task", "setting", "seed", "metric", "env_steps", "wall_seconds", "value"])
        for setting in found:
            for run in setting.runs:
                for name in names:
                    values = run.points(name)[1]
                    for at in kept(len(values)):
                        record = [run.points(name)[0][at], run.points(name, "wall_seconds")[0][at]]
                        labels = [setting.task, setting.label, run.seed, name]
                        writer.writerow([*labels, *record, f"{values[at]:.6g}"])
