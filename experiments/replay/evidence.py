"""The files of a study: its rows as CSV, its figure, and the page that summarizes all studies.

Verdicts and the page are made from the committed CSV files alone, so they can be remade without a run.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments import style
from experiments.replay.study import STUDIES, Row, Study, load

RUNS = "runs.json"  # tier, seeds and minutes of each study
PAGE = "README.md"
HEAD = """# Replay studies

Made by `make replay-studies` (`python -m experiments.replay`); do not edit. Each study repeats a published
experiment through the classes of `r2d2.replay`; its question, prediction and sources are at the top of
`experiments/replay/<study>.py`, its numbers in `<study>.csv` here. Means over seeds with 95 % bootstrap
intervals unless said otherwise; a verdict is computed from the numbers, never written by hand.
"""


def write_rows(rows: list[Row], path: Path) -> None:
    """Rows as CSV; numbers keep six significant digits."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: _text(value) for key, value in row.items()})


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def read_rows(path: Path) -> list[Row]:
    """The rows of a CSV file, with numbers where the text is one."""
    with path.open(newline="") as file:
        return [{key: _value(text) for key, text in row.items()} for row in csv.DictReader(file)]


def with_earlier(rows: list[Row], path: Path, key: Sequence[str]) -> list[Row]:
    """These rows, and those in the table at `path`, of runs on other machines, whose key none of these has."""
    new = {tuple(row[name] for name in key) for row in rows}
    earlier = read_rows(path) if path.exists() else []
    return rows + [row for row in earlier if tuple(row[name] for name in key) not in new]


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def draw(study: Study, rows: list[Row], path: Path) -> None:
    """The study's figure."""
    with style.styled():
        figure, axes = style.panels(study.panels)
        study.plot(rows, axes[: study.panels])
        style.finish(figure, axes, path)


def note_run(folder: Path, name: str, run: dict[str, Any]) -> None:
    """Record how a study's rows were made."""
    path = folder / RUNS
    runs = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(dict(sorted((runs | {name: run}).items())), indent=1) + "\n")


def page(folder: Path) -> str:
    """The summary of every study that has a CSV file in this folder."""
    runs = json.loads((folder / RUNS).read_text())
    lines = ["| method | experiment | published shape | ours | verdict |", "|---|---|---|---|---|"]
    sections = []
    for name in STUDIES:
        if not (folder / f"{name}.csv").exists():
            continue
        study, run = load(name), runs[name]
        verdict = study.verdict(read_rows(folder / f"{name}.csv"))
        word = "holds" if verdict.holds else "**does not hold**"
        lines.append(
            f"| {study.method} | [{study.experiment}](#{name}) | {study.published} | "
            f"{verdict.ours} | {word} |"
        )
        made = f"Made by: {run['tier']} tier, {run['seeds']} seeds, {run['minutes']} minutes of one core"
        sections.append(
            f"## {name}\n\n{study.question}\n\n{_sentence(verdict.note)}"
            f"![{study.experiment}]({name}.png)\n\n{made}.\n"
        )
    return f"{HEAD}\n" + "\n".join(lines) + "\n\n" + "\n".join(sections)


def _sentence(note: str) -> str:
    return f"Where ours differs: {note}\n\n" if note else ""
