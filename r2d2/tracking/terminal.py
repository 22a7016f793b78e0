"""Says in the terminal how a run goes: one line a report in a file or pipe, one live line on a screen."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from numpy.typing import NDArray

from r2d2.tracking.metrics import Record, Value

SHOWN = {  # metric -> how it is shown; a metric that comes seldom keeps its last value
    "train/mean_return": "return {:,.2f}",
    "learner/loss": "loss {:.3g}",
    "replay/ratio": "ratio {:.2f}",  # trained steps per environment step
    "replay/fill": "replay {:.0%}",  # share of the capacity, in [0, 1]
}
SEPARATOR = " | "
CLEAR = "\r\x1b[2K"  # back to the first column, erase the line
SCORE = "evaluate/mean_return"


class Terminal:
    """Writes progress to `stream`. A stream that nobody reads any more is given up in silence.

    A screen gets one live line, of as many parts as fit, the most important first; a file or pipe gets a whole line
    for each report. Evaluations are lines of their own. Nothing is colored, so NO_COLOR changes nothing.
    """

    def __init__(self, stream: TextIO, *, total_env_steps: int | None = None) -> None:
        self._stream, self._total = stream, total_env_steps
        self._live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._line = ""
        self._shown: dict[str, Value] = {}
        self._first: Record | None = None
        self._last: Record | None = None
        self._best: tuple[float, int] | None = None  # of the evaluations: mean return, environment steps

    def say(self, text: str) -> None:
        """Writes a line of its own, above the live one."""
        live = self._live and self._line
        self._write(f"{CLEAR}{text}\n{self._line}" if live else f"{text}\n")

    def log(self, record: Record) -> None:
        """Shows a record, unless it brings nothing that is shown."""
        if SCORE in record.metrics:
            self._say_evaluation(record)
        news = {name: value for name, value in record.metrics.items() if name in SHOWN}
        self._shown |= news
        if self._last is not None and not news and record.env_steps == self._last.env_steps:
            return
        parts = self._parts(record)
        self._first = self._first or record
        self._last = record
        if self._live:
            self._line = fit(parts, shutil.get_terminal_size().columns - 1)
            self._write(CLEAR + self._line)
        else:
            self._write(SEPARATOR.join(parts) + "\n")

    def _say_evaluation(self, record: Record) -> None:
        metrics = record.metrics
        score, steps = metrics[SCORE], int(metrics.get("evaluate/env_steps", record.env_steps))
        text = f"evaluation at {steps:,} steps: return {score:,.2f}"
        if "evaluate/min_return" in metrics:
            text += f" ({metrics['evaluate/min_return']:,.2f} to {metrics['evaluate/max_return']:,.2f})"
        if self._best is not None and score <= self._best[0]:
            text += f", best {self._best[0]:,.2f} at {self._best[1]:,}"
        elif math.isfinite(score):
            self._best = (score, steps)
            text += ", the best so far"
        self.say(text)

    def _parts(self, record: Record) -> list[str]:
        """What there is to say of a record, the most important first."""
        progress = f"{record.env_steps:,} steps"
        if self._total is not None:
            progress += f" ({record.env_steps / max(self._total, 1):.1%})"
        parts = [progress, *self._measured("train/mean_return", "learner/loss")]
        if (left := self._seconds_left(record)) is not None:
            parts.append(f"{duration(left)} left")
        if self._last is not None and record.wall_seconds > self._last.wall_seconds:
            seconds = record.wall_seconds - self._last.wall_seconds
            parts.append(f"{(record.env_steps - self._last.env_steps) / seconds:,.0f} steps/s")
            parts.append(f"{(record.updates - self._last.updates) / seconds:,.1f} updates/s")
        return [*parts, *self._measured("replay/ratio", "replay/fill")]

    def _measured(self, *names: str) -> list[str]:
        return [SHOWN[name].format(self._shown[name]) for name in names if name in self._shown]

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
        return {"best": self._best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember the best evaluation of the run; a checkpoint of version 0.1 does not have it."""
        best = state.get("best")
        self._best = None if best is None else (best[0], best[1])

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


def fit(parts: Sequence[str], width: int) -> str:
    """As many of the first parts as fit into a line of `width` characters; of the very first as much as does.

    >>> fit(["12,000 steps (12.0%)", "return 3.00", "loss 0.1"], 36)
    '12,000 steps (12.0%) | return 3.00'
    """
    line = parts[0][: max(width, 1)]
    for part in parts[1:]:
        if len(line) + len(SEPARATOR) + len(part) > width:
            break
        line += SEPARATOR + part
    return line


def duration(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> duration(3723.4), duration(59)
    ('1:02:03', '0:00:59')
    """
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"
