"""Run: the content of a run folder, whether the run is finished or still running."""

from __future__ import annotations

import fcntl
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from r2d2.config import Config
from r2d2.runs.folder import CONFIG, PROVENANCE, RunError, read_config, read_provenance
from r2d2.runs.lock import LOCK
from r2d2.tracking.metrics import FILE, read_metrics

State = Literal["running", "done", "stopped"]
Record = dict[str, Any]

GREEDY, TRAINING = "evaluate/mean_return", "train/mean_return"
FINAL = 0.2  # share of a run's evaluations, the last ones, whose mean is its score; ours
QUIET = 60.0  # least seconds without a record after which a run without a lock counts as stopped; ours
DEPTH = 6  # levels below a study's folder that are searched for runs; ours


@dataclass(frozen=True)
class Run:
    """A run folder, read once. Records are those of `metrics.jsonl`, under today's names."""

    path: Path
    name: str  # its path below the given folder
    preset: str
    config: Config
    provenance: Sequence[Mapping[str, Any]]
    records: Sequence[Record]
    state: State

    @property
    def task(self) -> str:
        """The environment with its options, as `Recall-v0 (delay=10)`."""
        options = ", ".join(f"{name}={value}" for name, value in sorted(self.config.env.options.items()))
        return f"{self.config.env.id} ({options})" if options else self.config.env.id

    @property
    def seed(self) -> int:
        return self.config.run.seed

    @property
    def env_steps(self) -> int:
        return int(self.records[-1]["env_steps"]) if self.records else 0

    @property
    def updates(self) -> int:
        return int(self.records[-1]["updates"]) if self.records else 0

    @property
    def minutes(self) -> float:
        """Training time over all resumes."""
        return float(self.records[-1]["wall_seconds"]) / 60 if self.records else 0.0

    @property
    def measure(self) -> str:
        """The metric of its scores: greedy returns, or training returns if it was never evaluated."""
        return GREEDY if self.points(GREEDY)[1] else TRAINING

    @property
    def best(self) -> float | None:
        """The highest score."""
        return max(self.points(self.measure)[1], default=None)

    @property
    def last(self) -> float | None:
        """The newest score."""
        values = self.points(self.measure)[1]
        return values[-1] if values else None

    @property
    def final(self) -> float | None:
        """The mean of the last fifth of the scores, which is less noisy than the last one."""
        values = self.points(self.measure)[1]
        kept = values[-max(1, round(FINAL * len(values))) :]
        return sum(kept) / len(kept) if kept else None

    def reached(self, goal: float) -> tuple[float, float] | None:
        """Environment steps and minutes until the first score of at least `goal`; None if there is none."""
        at, scores = self.points(self.measure)
        seconds = self.points(self.measure, "wall_seconds")[0]
        first = next((number for number, score in enumerate(scores) if score >= goal), None)
        return None if first is None else (at[first], seconds[first] / 60)

    def last_value(self, name: str) -> float | None:
        """The newest value of a metric."""
        values = self.points(name)[1]
        return values[-1] if values else None

    def points(self, name: str, clock: str = "env_steps") -> tuple[list[float], list[float]]:
        """Times and values of a metric, without values that are not finite."""
        return self._points.get((name, clock), ([], []))

    @cached_property
    def _points(self) -> dict[tuple[str, str], tuple[list[float], list[float]]]:
        found: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
        for record in self.records:
            for name, value in record.items():
                if isinstance(value, int | float):
                    for clock in ("env_steps", "wall_seconds"):
                        at, values = found.setdefault((name, clock), ([], []))
                        at.append(record[clock])
                        values.append(value)
        return found

    @property
    def command(self) -> str:
        """The command that started it, as the user typed it."""
        words = self.provenance[0].get("command", []) if self.provenance else []
        return " ".join(["r2d2", *map(str, words[1:])]) if words else ""


def read_runs(paths: Iterable[Path]) -> list[Run]:
    """The runs in these folders, each a run's own or one that contains runs, such as a study's.

    A run that cannot be read is left out with a warning, unless its own folder was given. Raises RunError if
    there is none.
    """
    paths = list(dict.fromkeys(path.resolve() for path in paths))
    runs: list[Run] = []
    for path in paths:
        if (path / CONFIG).is_file():
            runs.append(read_run(path, path.name))
            continue
        if not path.is_dir():
            raise RunError(f"{path} does not exist: name a run's folder, or one that holds runs")
        above = path.parent if len(paths) > 1 else path
        for folder in _folders(path, DEPTH):
            try:
                runs.append(read_run(folder, str(folder.relative_to(above))))
            except (RunError, OSError) as error:
                print(f"left out: {error}", file=sys.stderr)
    if not runs:
        raise RunError(
            f"there is no run in {', '.join(map(str, paths))}: `r2d2 train --run-dir DIR` makes one"
        )
    names = [run.name for run in runs]
    return [run if names.count(run.name) == 1 else replace(run, name=str(run.path)) for run in runs]


def _folders(path: Path, depth: int) -> Iterator[Path]:
    """The run folders in a folder, sorted by name; none is inside another."""
    for child in sorted(path.iterdir()):
        if child.is_dir() and not child.name.startswith("."):
            if (child / CONFIG).is_file():
                yield child
            elif depth > 1:
                yield from _folders(child, depth - 1)


def read_run(path: Path, name: str) -> Run:
    """One run; RunError that names the file if it cannot be read."""
    config, preset = read_config(path)
    history = read_provenance(path) if (path / PROVENANCE).exists() else []
    records = [record for record in read_metrics(path) if "env_steps" in record and "wall_seconds" in record]
    return Run(path, name, preset, config, history, records, _state(path, config, records))


def _state(path: Path, config: Config, records: Sequence[Record]) -> State:
    """A run is running if another process holds its lock; without locks, the time of the last record decides."""
    held = _is_locked(path / LOCK)
    if held:
        return "running"
    if records and _is_over(config, records):
        return "done"
    return "running" if held is None and _is_fresh(path, records) else "stopped"


def _is_locked(file: Path) -> bool | None:
    """None if there is no such file or its file system has no locks."""
    try:
        with file.open("rb") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False
    except OSError:
        return None


def _is_over(config: Config, records: Sequence[Record]) -> bool:
    """Whether it made all its steps, to within two steps of the vector, or reached its goal."""
    steps = max(record["env_steps"] for record in records)
    scores = [record[GREEDY] for record in records if record.get(GREEDY) is not None]
    goal = config.run.stop_return
    return steps + 2 * config.env.num_envs > config.run.steps or bool(
        goal is not None and scores and scores[-1] >= goal
    )


def _is_fresh(path: Path, records: Sequence[Record]) -> bool:
    """Whether a record could still come: the last one is not older than three times the longest gap."""
    file = path / FILE
    since = time.time() - (file if file.exists() else path / CONFIG).stat().st_mtime
    gaps = [after["wall_seconds"] - before["wall_seconds"] for before, after in pairwise(records)]
    return since < max([QUIET, *(3 * gap for gap in gaps)])
