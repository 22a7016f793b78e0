"""The record of a run's numbers: `metrics.jsonl`, one JSON object a line, which is the truth about the run.

Each line has the clocks, then the metrics by name (`names.py` lists both). A number that is not finite is written
as null, so each line is valid JSON. Lines go to the system one by one: a killed process loses none, a power cut
what came after the last `sync`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r2d2.tracking.names import CLOCKS, modernize

FILE = "metrics.jsonl"
Value = float | int | bool


@dataclass(frozen=True)
class Record:
    """What was measured at one moment of a run."""

    env_steps: int
    updates: int
    wall_seconds: float
    unix_time: float
    metrics: Mapping[str, Value]

    def line(self) -> dict[str, Any]:
        """All of it as one flat mapping, clocks first."""
        return {name: getattr(self, name) for name in CLOCKS} | dict(self.metrics)


def plain(name: str, value: Any) -> Value:
    """Turns a number of any library into Python's own.

    >>> plain("loss", float("inf")), plain("n", True)
    (inf, True)
    """
    number = value.item() if hasattr(value, "item") else value
    if not isinstance(number, float | int):
        raise TypeError(f"metric {name} must be one number, got {type(value).__name__}")
    return number


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Reads `metrics.jsonl`, or the one of a run folder; a line that was cut off is left out.

    Names of earlier versions become those of today. A missing file is an empty list: nothing was logged yet.
    """
    path = Path(path)
    path = path / FILE if path.is_dir() else path
    if not path.exists():
        return []
    return [modernize(record) for record, _ in _lines(path)]


def _lines(path: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    with open(path, "rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return  # torn by a crash: it may look whole and lack a digit
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record, line


class MetricsFile:
    """Appends lines to `metrics.jsonl`.

    With `lines` and `env_steps`, those of a checkpoint, the file goes back to what it was then: what was
    logged later will be logged again. Without, a file of an earlier attempt is moved aside (to
    `metrics.jsonl.1`), never mixed in.
    """

    def __init__(self, path: Path, *, lines: int | None = None, env_steps: int | None = None) -> None:
        self.path, self.lines = path, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if lines is None or env_steps is None:
                _move_aside(path)
            else:
                self.lines = _rewind(path, lines, env_steps)
        self._file = open(path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115 (closed by close)

    def write(self, record: Mapping[str, Any]) -> None:
        """Appends one line, numbers that are not finite as null."""
        self._file.write(json.dumps(_finite(dict(record)), allow_nan=False) + "\n")
        self.lines += 1

    def sync(self) -> None:
        """Makes all lines so far survive a power cut."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list) else value


def _move_aside(path: Path) -> None:
    if path.stat().st_size:
        number = 1
        while (aside := path.with_name(f"{path.name}.{number}")).exists():
            number += 1
        path.rename(aside)


def _rewind(path: Path, lines: int, env_steps: int) -> int:
    """Keeps the first `lines` lines, those not past `env_steps`, by atomic replacement; returns how many."""
    kept, tmp = 0, path.with_name(f"{path.name}.tmp")
    with open(tmp, "wb") as file:
        for record, line in _lines(path):
            if kept < lines and record.get("env_steps", 0) <= env_steps:
                file.write(line)
                kept += 1
        file.flush()
        os.fsync(file.fileno())
    tmp.replace(path)
    return kept
