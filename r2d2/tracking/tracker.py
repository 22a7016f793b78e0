"""Logs the metrics of a run: always to `metrics.jsonl`, optionally to wandb and the terminal.

tracker = open_tracker(run_dir, track="auto", total_env_steps=10_000_000, name="pong-0", config={...})
tracker.load_state_dict(state)  # only on resume, before anything is logged
tracker.log({"learner/loss": 0.1, "train/mean_return": 3.0}, env_steps=4000, updates=10)
tracker.close()
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, SupportsFloat, TextIO

import numpy as np
import psutil
from numpy.typing import ArrayLike, NDArray

from r2d2.tracking.metrics import FILE, MetricsFile, Record, plain, read_metrics
from r2d2.tracking.names import CLOCKS
from r2d2.tracking.terminal import Terminal
from r2d2.tracking.wandb import WandbRun
from r2d2.tracking.wandb_login import Track, choose_mode

__all__ = ["Sink", "Track", "Tracker", "open_tracker", "read_metrics"]

BINS = 64  # of a histogram; ours: what wandb draws by default


class Sink(Protocol):
    """A destination of records. Its failures must never raise: training continues without it."""

    def log(self, record: Record) -> None: ...
    def log_video(self, name: str, path: Path, record: Record) -> None: ...
    def log_histogram(self, name: str, counts: NDArray[Any], edges: NDArray[Any], record: Record) -> None: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...
    def close(self, exit_code: int) -> None: ...


class Tracker:
    """Writes each record to `metrics.jsonl` in `run_dir` and to the named sinks.

    Not thread-safe. `metrics.jsonl` is authoritative; lines for which the disk has no space wait, but a checkpoint
    needs them all and raises OSError.
    """

    def __init__(self, run_dir: Path, sinks: Mapping[str, Sink] | None = None) -> None:
        self.run_dir = Path(run_dir)
        self._sinks = dict(sinks or {})
        self._file: MetricsFile | None = None
        self._env_steps = self._updates = 0
        self._seconds_before = 0.0  # training time before this process, in seconds
        self._started = time.monotonic()
        self._last: Record | None = None  # of those that had new steps

    def log(self, metrics: Mapping[str, SupportsFloat], *, env_steps: int, updates: int) -> None:
        """Logs numbers, and with new steps also the speed since the last record and this process's memory.

        Raises TypeError or ValueError, with the name, for a value that is not a metric.
        """
        if taken := set(metrics) & set(CLOCKS):
            raise ValueError(f"metrics must not be named {sorted(taken)}: each record has these already")
        record = self._record(
            env_steps, updates, {name: plain(name, value) for name, value in metrics.items()}
        )
        last = self._last
        if last is None or record.env_steps > last.env_steps:
            record = replace(record, metrics=dict(record.metrics) | _resources(last, record))
            self._last = record
        self._open().write(record.line())
        self._tell(lambda sink: sink.log(record))

    def log_video(self, name: str, path: Path, env_steps: int) -> None:
        """Logs a video file: in `metrics.jsonl` its path, relative to the run folder if it is in there."""
        record = self._record(env_steps, self._updates, {})
        path = Path(path)
        inside = path.resolve().is_relative_to(self.run_dir.resolve())
        shown = path.resolve().relative_to(self.run_dir.resolve()) if inside else path
        self._open().write(record.line() | {name: str(shown)})
        self._tell(lambda sink: sink.log_video(name, path, record))

    def log_histogram(self, name: str, array: ArrayLike, env_steps: int) -> None:
        """Logs the distribution of an array's finite values: counts [BINS], edges [BINS + 1]."""
        record = self._record(env_steps, self._updates, {})
        values = np.asarray(array, np.float64).ravel()
        counts, edges = histogram(values[np.isfinite(values)])
        self._open().write(record.line() | {name: {"counts": counts.tolist(), "edges": edges.tolist()}})
        self._tell(lambda sink: sink.log_histogram(name, counts, edges, record))

    def _tell(self, call: Callable[[Sink], None]) -> None:
        """Call every sink. One that fails is dropped, and training continues without it."""
        for name, sink in list(self._sinks.items()):
            try:
                call(sink)
            except Exception as error:
                del self._sinks[name]
                self.warn(f"nothing goes to {name} from now on: {error!r}")

    def warn(self, text: str) -> None:
        """Prints a warning."""
        with contextlib.suppress(OSError):  # the stream may be closed
            print(text, file=sys.stderr)

    def close(self, exit_code: int = 0) -> None:
        """Closes the log; an `exit_code` other than 0 marks the run as failed. May be called twice."""
        sinks, self._sinks = self._sinks, {}
        for name, sink in sinks.items():
            try:
                sink.close(exit_code)
            except Exception as error:
                self.warn(f"{name} was not closed: {error!r}")
        if self._file is not None:
            self._file.close()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to continue the same curves; the lines so far are then on disk."""
        file = self._open()
        file.sync()
        return {
            "env_steps": self._env_steps,
            "updates": self._updates,
            "lines": file.lines,
            "wall_seconds": self._seconds(),
            "sinks": {name: sink.state_dict() for name, sink in self._sinks.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes back to a checkpoint: what was logged after it is removed from `metrics.jsonl`."""
        if self._file is not None:
            raise RuntimeError("load_state_dict must come before anything is logged: load into a new Tracker")
        self._env_steps, self._updates = state["env_steps"], state["updates"]
        self._seconds_before, self._started = state["wall_seconds"], time.monotonic()
        for name, sink in self._sinks.items():
            if name in state["sinks"]:  # a sink that is new in this process starts fresh
                sink.load_state_dict(state["sinks"][name])
        file = self.run_dir / FILE
        self._file = MetricsFile(file, lines=state["lines"], env_steps=self._env_steps, say=self.warn)

    def _open(self) -> MetricsFile:
        if self._file is None:
            self._file = MetricsFile(self.run_dir / FILE, say=self.warn)
        return self._file

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started

    def _record(self, env_steps: int, updates: int, metrics: Mapping[str, float | int | bool]) -> Record:
        self._env_steps, self._updates = max(self._env_steps, int(env_steps)), int(updates)
        return Record(int(env_steps), int(updates), round(self._seconds(), 3), round(time.time(), 3), metrics)


def histogram(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Counts [BINS] and edges [BINS + 1] of finite values of any size.

    numpy cannot make bins for equal values whose floating-point neighbors are further away than a bin is wide.

    >>> counts, edges = histogram(np.array([1e30, 1e30]))
    >>> int(counts.sum()), bool(edges[0] < 1e30 < edges[-1])
    (2, True)
    """
    values = values / 4  # so that the range is finite too
    low, high = (values.min(), values.max()) if len(values) else (0.0, 0.25)
    room = max(0.125 if low == high else 0.0, BINS * float(np.spacing(max(abs(low), abs(high)))))
    if high - low < room:
        low, high = low - room, high + room
    counts, edges = np.histogram(values, bins=BINS, range=(low, high))
    return counts, edges * 4


def _resources(last: Record | None, record: Record) -> dict[str, float]:
    """Memory of this process, and the speed between two records."""
    found: dict[str, float] = {"memory/process_bytes": psutil.Process().memory_info().rss}
    if last is not None and record.wall_seconds > last.wall_seconds:
        seconds = record.wall_seconds - last.wall_seconds
        found["time/env_steps_per_second"] = round((record.env_steps - last.env_steps) / seconds, 3)
        found["time/updates_per_second"] = round((record.updates - last.updates) / seconds, 3)
    return found


def open_tracker(
    run_dir: Path,
    *,
    track: Track = "auto",
    total_env_steps: int | None = None,
    project: str = "r2d2",
    name: str | None = None,
    group: str | None = None,
    job_type: str | None = None,
    tags: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    policies: Mapping[str, Path] | None = None,
    stream: TextIO | None = None,
) -> Tracker:
    """A tracker with a terminal (on `stream`, or the standard output) and, depending on `track`, wandb.

    `auto` uses wandb online when a user is logged in, otherwise offline, and prints which. wandb stores the
    `policies`, alias -> folder, as an artifact. Raises ValueError when `track` asks for what cannot work here.
    """
    terminal = Terminal(sys.stdout if stream is None else stream, total_env_steps=total_env_steps)
    mode, why = choose_mode(track)
    sinks: dict[str, Sink] = {"terminal": terminal}
    if mode != "none":
        sinks["wandb"] = WandbRun(
            run_dir,
            mode=mode,
            say=terminal.say,
            project=project,
            name=name,
            group=group,
            job_type=job_type,
            tags=tags,
            config=config,
            policies=policies,
        )
    terminal.say(why)
    return Tracker(run_dir, sinks)
