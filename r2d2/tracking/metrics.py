"""The record of a run's metrics: `metrics.jsonl`, one JSON object per line, the authoritative log of the run.

Each line has the clocks, then the metrics by name (`names.py` lists both). A number that is not finite is written
as null, so each line is valid JSON. Lines are written one by one: a killed process loses none, a power failure
only those after the last `sync`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
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
        """The record as one flat mapping, clocks first."""
        return {name: getattr(self, name) for name in CLOCKS} | dict(self.metrics)


def plain(name: str, value: Any) -> Value:
    """Converts a number of any library to a Python number.

    >>> plain("loss", float("inf")), plain("n", True)
    (inf, True)
    """
    number = value.item() if hasattr(value, "item") else value
    if not isinstance(number, float | int):
        raise TypeError(f"metric {name} must be one number, got {type(value).__name__}")
    return number


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Reads `metrics.jsonl`, or the one in a run folder; a truncated line is left out.

    Names of earlier versions are replaced by today's. A missing file gives an empty list: nothing was logged yet.
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
                return  # torn by a crash: it may look complete but lack a digit
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record, line


class MetricsFile:
    """Appends lines to `metrics.jsonl`.

    With `lines` and `env_steps` of a checkpoint, the file is rewound to them: what was logged later will be
    logged again. Without them, a file of an earlier attempt is moved aside (to `metrics.jsonl.1`), never mixed
    in. If lines are missing, at the start or while the file is open, this is reported to `say`, the rest is moved
    aside, and a new file is started. Lines for which the disk has no space wait.
    """

    def __init__(
        self,
        path: Path,
        *,
        lines: int | None = None,
        env_steps: int | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path, self.lines, self._say = path, 0, say
        self._waiting: list[bytes] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        if lines is None or env_steps is None:
            _move_aside(path)
        else:
            self.lines = _rewind(path, lines, env_steps)
            if self.lines < lines:
                self._begin_anew(f"{path} has lost {lines - self.lines} of its {lines} lines")
        self._open()

    def _open(self) -> None:
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 (closed by close)
        self._size = os.fstat(self._file.fileno()).st_size

    def _begin_anew(self, why: str) -> None:
        aside = _move_aside(self.path)
        self._say(f"{why}: a new one begins" + (f", what is left is in {aside}" if aside else ""))
        self.lines = 0

    def write(self, record: Mapping[str, Any]) -> None:
        """Appends one line, with numbers that are not finite as null."""
        self._waiting.append(json.dumps(_finite(dict(record)), allow_nan=False).encode() + b"\n")
        try:
            self._flush()
        except OSError as error:
            if len(self._waiting) == 1:
                self._say(f"{self.path} cannot be written ({error}): lines wait until it can")

    def _flush(self) -> None:
        """Write the waiting lines; OSError if they cannot be written completely."""
        if not self.path.exists() or not os.path.samestat(self.path.stat(), os.fstat(self._file.fileno())):
            self._file.close()
            self._begin_anew(f"{self.path} was removed or replaced")
            self._open()
        elif os.fstat(self._file.fileno()).st_size < self._size:
            self._file.close()
            self._begin_anew(f"{self.path} was cut")
            self._open()
        while self._waiting:
            line = self._waiting[0]
            if self._file.write(line) != len(line):
                os.ftruncate(self._file.fileno(), self._size)  # no partial line
                raise OSError("there is no room")
            self._size += len(line)
            self.lines += 1
            del self._waiting[0]

    def sync(self) -> None:
        """Makes all lines so far survive a power failure."""
        self._flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        if not self._file.closed:
            with contextlib.suppress(OSError):
                self._flush()
            self._file.close()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list) else value


def _move_aside(path: Path) -> Path | None:
    """Renames the file and returns its new path; None if it is empty."""
    if not path.exists() or not path.stat().st_size:
        return None
    number = 1
    while (aside := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    return path.rename(aside)


def _rewind(path: Path, lines: int, env_steps: int) -> int:
    """Keeps the first `lines` lines, those not past `env_steps`, by atomic replacement; returns how many. A file
    with fewer lines is not changed."""
    kept, tmp = 0, path.with_name(f"{path.name}.tmp")
    if not path.exists():
        return 0
    with open(tmp, "wb") as file:
        for record, line in _lines(path):
            if kept < lines and record.get("env_steps", 0) <= env_steps:
                file.write(line)
                kept += 1
        file.flush()
        os.fsync(file.fileno())
    if kept < lines:
        tmp.unlink()
    else:
        tmp.replace(path)
    return kept
