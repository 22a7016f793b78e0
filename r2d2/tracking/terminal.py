"""Shows a run's progress: a live summary in a terminal, one line per report in a file or pipe."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from numpy.typing import NDArray

from r2d2.tracking.live import KEPT, Curve, Screen, Summary
from r2d2.tracking.metrics import Record, Value

RETURN = "train/mean_return"
SCORE = "evaluate/mean_return"
SHOWN = {  # metric -> format; a metric that is logged rarely keeps its last value
    RETURN: "return {:,.2f}",
    "learner/loss": "loss {:.3g}",
    "replay/ratio": "ratio {:.2f}",  # trained steps per environment step
    "replay/fill": "replay {:.0%}",  # share of the capacity, in [0, 1]
}
SEPARATOR = " | "


class Terminal:
    """Writes progress to `stream`. Once the stream is closed, output stops silently.

    A terminal gets a summary of at most four lines, in place; a file, a pipe, a dumb terminal and one with NO_COLOR
    get a line for each report. Evaluations get lines of their own.
    """

    def __init__(self, stream: TextIO, *, total_env_steps: int | None = None) -> None:
        self._stream, self._total = stream, total_env_steps
        plain = os.environ.get("TERM") == "dumb" or bool(os.environ.get("NO_COLOR"))
        self._screen = Screen(stream) if stream.isatty() and not plain else None
        self._shown: dict[str, Value] = {}
        self._curves: dict[str, list[float]] = {RETURN: [], SCORE: []}
        self._speed: list[str] = []
        self._first: Record | None = None
        self._last: Record | None = None
        self._best: tuple[float, int] | None = None  # of the evaluations: mean return, environment steps

    def say(self, text: str) -> None:
        """Writes a line above the summary."""
        try:
            if self._screen is not None:
                self._screen.say(text)
            else:
                self._stream.write(f"{text}\n")
                self._stream.flush()
        except (OSError, ValueError):  # a closed pipe or file; training does not need a reader
            pass

    def log(self, record: Record) -> None:
        """Shows a record, unless none of its metrics is shown."""
        self._remember(record)
        if SCORE in record.metrics:
            self._say_evaluation(record)
        news = {name: value for name, value in record.metrics.items() if name in SHOWN}
        self._shown |= news
        further = self._last is None or record.env_steps > self._last.env_steps
        if not news and (not further or SCORE in record.metrics) and self._screen is None:
            return
        self._measure(record)
        if self._screen is None:
            self.say(SEPARATOR.join(self._parts(record)))
        else:
            try:
                self._screen.show(self._summary(record if further or self._last is None else self._last))
            except (OSError, ValueError):
                self._screen = None
        self._first = self._first or record
        if further and (news or SCORE not in record.metrics):
            self._last = record

    def _measure(self, record: Record) -> None:
        """The speed since the last report that had new steps."""
        if self._last is None or record.wall_seconds <= self._last.wall_seconds:
            return
        seconds = record.wall_seconds - self._last.wall_seconds
        steps, updates = record.env_steps - self._last.env_steps, record.updates - self._last.updates
        if steps > 0:
            self._speed = [f"{steps / seconds:,.0f} steps/s", f"{updates / seconds:,.1f} updates/s"]

    def _remember(self, record: Record) -> None:
        """Add to the curves; a long one keeps every second point."""
        for name, values in self._curves.items():
            value = record.metrics.get(name)
            if value is not None and math.isfinite(value):
                values.append(float(value))
                if len(values) > KEPT:
                    del values[::2]

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
        """The parts of a record to show, the most important first."""
        left = self._left(record)
        return [
            self._progress(record),
            *self._measured(RETURN, "learner/loss"),
            *([left] if left else []),
            *self._speed,
            *self._measured("replay/ratio", "replay/fill"),
        ]

    def _summary(self, record: Record) -> Summary:
        returns, scores = self._curves[RETURN], self._curves[SCORE]
        curves = []
        if returns:
            note = f"{min(returns):,.2f} to {max(returns):,.2f}"
            curves.append(Curve("return", f"{returns[-1]:,.2f}", returns, note))
        if scores:
            note = "" if self._best is None else f"best {self._best[0]:,.2f} at {self._best[1]:,}"
            curves.append(Curve("evaluation", f"{scores[-1]:,.2f}", scores, note))
        share = None if self._total is None else min(1.0, record.env_steps / max(self._total, 1))
        numbers = [*self._speed, *self._measured("learner/loss", "replay/fill", "replay/ratio")]
        return Summary(self._progress(record), share, self._left(record), curves, numbers)

    def _progress(self, record: Record) -> str:
        share = "" if self._total is None else f" ({record.env_steps / max(self._total, 1):.1%})"
        return f"{record.env_steps:,} steps{share}"

    def _measured(self, *names: str) -> list[str]:
        return [SHOWN[name].format(self._shown[name]) for name in names if name in self._shown]

    def _left(self, record: Record) -> str:
        if self._total is None or self._first is None:
            return ""
        steps = record.env_steps - self._first.env_steps
        seconds = record.wall_seconds - self._first.wall_seconds
        return (
            f"{duration(max(0, self._total - record.env_steps) * seconds / steps)} left" if steps > 0 else ""
        )

    def log_video(self, name: str, path: Path, record: Record) -> None:
        """Ignored: a terminal shows no videos."""

    def log_histogram(self, name: str, counts: NDArray[Any], edges: NDArray[Any], record: Record) -> None:
        """Ignored: a terminal shows no histograms."""

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the best evaluation of the run; a checkpoint of version 0.1 does not have it."""
        best = state.get("best")
        self._best = None if best is None else (best[0], best[1])

    def close(self, exit_code: int) -> None:
        if self._screen is not None:
            with contextlib.suppress(OSError, ValueError):
                self._screen.close()


def duration(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> duration(3723.4), duration(59)
    ('1:02:03', '0:00:59')
    """
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"
