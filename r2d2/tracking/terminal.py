"""Says in the terminal how a run goes: one line a report in a file or pipe, one live line on a screen."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from numpy.typing import NDArray

from r2d2.tracking.metrics import Record, Value

FIELDS = {  # metric -> how it is shown; a metric that comes seldom keeps its last value
    "replay/fill": "replay {:.0%}",  # share of the capacity, in [0, 1]
    "replay/ratio": "ratio {:.2f}",  # trained steps per environment step
    "train/mean_return": "return {:,.2f}",
    "learner/loss": "loss {:.3g}",
}
CLEAR = "\r\x1b[2K"  # back to the first column, erase the line


class Terminal:
    """Writes progress to `stream`. A stream that nobody reads any more is given up in silence."""

    def __init__(self, stream: TextIO, *, total_env_steps: int | None = None) -> None:
        self._stream, self._total = stream, total_env_steps
        self._live = stream.isatty()
        self._line = ""
        self._shown: dict[str, Value] = {}
        self._first: Record | None = None
        self._last: Record | None = None

    def say(self, text: str) -> None:
        """Writes a line of its own, above the live one."""
        live = self._live and self._line
        self._write(f"{CLEAR}{text}\n{self._line}" if live else f"{text}\n")

    def log(self, record: Record) -> None:
        """Shows a record, unless it brings nothing that is shown (such as one of an evaluation)."""
        news = {name: value for name, value in record.metrics.items() if name in FIELDS}
        self._shown |= news
        if self._last is not None and not news and record.env_steps == self._last.env_steps:
            return
        text = self._format(record)
        self._first = self._first or record
        self._last = record
        if self._live:
            self._line = text[: max(1, shutil.get_terminal_size().columns - 1)]
            self._write(CLEAR + self._line)
        else:
            self._write(text + "\n")

    def _format(self, record: Record) -> str:
        parts = [f"env steps {record.env_steps:,}"]
        if self._total is not None:
            parts[0] += f" ({record.env_steps / max(self._total, 1):.1%})"
        if self._last is not None and record.wall_seconds > self._last.wall_seconds:
            seconds = record.wall_seconds - self._last.wall_seconds
            parts.append(f"{(record.env_steps - self._last.env_steps) / seconds:,.0f} steps/s")
            parts.append(f"{(record.updates - self._last.updates) / seconds:,.1f} updates/s")
        parts += [shape.format(self._shown[name]) for name, shape in FIELDS.items() if name in self._shown]
        if (left := self._seconds_left(record)) is not None:
            parts.append(f"{duration(left)} left")
        return " | ".join(parts)

    def _seconds_left(self, record: Record) -> float | None:
        if self._total is None or self._first is None:
            return None
        steps = record.env_steps - self._first.env_steps
        seconds = record.wall_seconds - self._first.wall_seconds
        return max(0, self._total - record.env_steps) * seconds / steps if steps > 0 else None

    def log_video(self, name: str, path: Path, record: Record) -> None:
        """Videos are not for a terminal."""

    def log_histogram(self, name: str, counts: NDArray[Any], edges: NDArray[Any], record: Record) -> None:
        """Histograms are not for a terminal."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """There is nothing to go on with."""

    def close(self, exit_code: int) -> None:
        if self._live and self._line:
            self._write("\n")
            self._line = ""

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # a closed pipe or file; training does not need a reader
            pass


def duration(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> duration(3723.4), duration(59)
    ('1:02:03', '0:00:59')
    """
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"
