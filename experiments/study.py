"""A study: named cells times seeds, each a training run in a folder of its own, run in parallel.

A finished run is skipped, a stopped one resumes, and one whose folder was made with another config is an
error. On Ctrl-C, and when the study's own process ends, every run finishes its step and saves. Runs are
forked from a server that has imported torch once, so that runs of seconds have little overhead.
"""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from experiments.processor_time import note_processor_time
from r2d2.config import Config, to_dict
from r2d2.tracking.metrics import read_metrics
from r2d2.tracking.terminal import duration

FINISHED = "finished"  # marker file in the folder of a finished run
STOPPED = 130  # exit code after Ctrl-C, as in shells
POLL = 0.2  # seconds between polls of the runs; ours: short enough not to be noticed
PRELOAD = [
    "r2d2.runtime.training",
    "r2d2.envs.make",
    "torch._dynamo",
]  # the optimizer imports the last, in seconds
# Fields that do not affect results, so they may change between calls.
FREE = ("run.track", "run.threads", "env.folder")

Label = str | int | float
Row = dict[str, Any]
After = Callable[[Path], None]


@dataclass(frozen=True)
class Cell:
    """One setting of a study: a config whose `run.seed` is replaced, and the labels that identify it."""

    name: str  # of its folder
    preset: str
    config: Config
    labels: Mapping[str, Label]


@dataclass(frozen=True)
class Job:
    """One run: a cell with a seed."""

    cell: Cell
    seed: int
    run_dir: Path

    @property
    def name(self) -> str:
        return f"{self.cell.name}, seed {self.seed}"

    @property
    def config(self) -> Config:
        return replace(self.cell.config, run=replace(self.cell.config.run, seed=self.seed))

    @property
    def finished(self) -> bool:
        return (self.run_dir / FINISHED).exists()

    @property
    def log(self) -> Path:
        """The file with the run's output."""
        return self.run_dir.with_suffix(".log")


def plan(cells: Iterable[Cell], seeds: Sequence[int], root: Path) -> list[Job]:
    """All runs, seed by seed, so that an interrupted study has a few seeds of every cell."""
    listed = list(cells)
    names = [cell.name for cell in listed]
    if len(set(names)) < len(names):
        twice = sorted(name for name in set(names) if names.count(name) > 1)
        raise ValueError(f"cells must have names of their own, got {twice[0]} twice")
    return [Job(cell, seed, root / cell.name / f"seed{seed}") for seed in seeds for cell in listed]


def check(jobs: Iterable[Job]) -> None:
    """Raise ValueError if a folder holds a run with another config, naming the field."""
    from r2d2.runs.folder import read_config

    for job in jobs:
        if (job.run_dir / "config.json").exists():
            before, now = to_dict(read_config(job.run_dir)[0]), to_dict(job.config)
            for section, values in now.items():
                for name, value in values.items():
                    if before[section][name] != value and f"{section}.{name}" not in FREE:
                        raise ValueError(
                            f"{job.run_dir} was started with {section}.{name} = {before[section][name]}, "
                            f"now it is {value}: name another folder for the runs, or remove that one"
                        )


# -- one run, in a process of its own ----------------------------------------------------------------------


def train(job: Job, after: After | None) -> int:
    """Start or resume the run, then call `after`; returns the exit code."""
    from r2d2.runtime import training

    try:
        if (job.run_dir / "config.json").exists():
            code = training.resume(job.run_dir, None, track=job.config.run.track)
        else:
            code = training.start(job.config, job.run_dir, preset=job.cell.preset)
    finally:
        note_processor_time(job.run_dir)
    if code == 0:
        if after is not None:
            after(job.run_dir)
        (job.run_dir / FINISHED).touch()
    return code


def _child(job: Job, after: After | None, orders: Connection) -> None:
    os.setpgrp()  # Ctrl-C in a terminal reaches only the study, which signals each run once
    job.log.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    threading.Thread(target=_obey, args=(orders,), daemon=True).start()
    code = 1
    try:
        code = train(job, after)
    except KeyboardInterrupt:
        code = STOPPED
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _obey(orders: Connection) -> None:
    """Turn each order of the study, and its end, into a signal that the run handles.

    Orders wait in the pipe until the process can take signals; a signal sent to a process that is being
    forked would be lost.
    """
    alive = True
    while alive:
        try:
            orders.recv()
        except EOFError:
            alive = False
        os.kill(os.getpid(), signal.SIGINT)


# -- all of them, in parallel ------------------------------------------------------------------------------


@dataclass
class _Running:
    job: Job
    process: BaseProcess
    orders: Connection
    told: int = 0  # times it was asked to stop


def execute(
    jobs: Sequence[Job], *, workers: int, after: After | None = None, say: Callable[[str], None] = print
) -> int:
    """Run all unfinished jobs, `workers` at a time. `after`, an importable function, gets the folder of each run
    once it has trained. Returns 0, 1 if a run failed (the others still run), or 130 if stopped.

    The first Ctrl-C or SIGTERM lets the runs finish their step and save, a second one does not.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    check(jobs)
    waiting = [job for job in jobs if not job.finished]
    say(f"{len(jobs)} runs, {len(jobs) - len(waiting)} of them finished before, {workers} at a time")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    running: list[_Running] = []
    count, done, failed, began = len(waiting), 0, 0, time.monotonic()
    with _stop_signals(say) as asked:
        while running or (waiting and not asked[0]):
            while waiting and len(running) < workers and not asked[0]:
                running.append(_start(context, waiting.pop(0), after))
            wait([run.process.sentinel for run in running], POLL)
            for run in running:
                if run.told < asked[0] and run.process.is_alive():
                    run.told = asked[0]
                    _tell(run)
            for run in [run for run in running if not run.process.is_alive()]:
                running.remove(run)
                run.orders.close()
                code = run.process.exitcode
                done += code == 0
                if code == 0:
                    left = (time.monotonic() - began) / done * (count - done)
                    say(f"[{done}/{count}] {run.job.name}; {duration(left)} left")
                elif not asked[0]:
                    failed += 1
                    say(f"FAILED with exit code {code}: {run.job.name}; see {run.job.log}")
    if asked[0] and done < count:
        say("stopped and saved; the same command resumes")
        return STOPPED
    return int(failed > 0)


def _start(context: Any, job: Job, after: After | None) -> _Running:
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(job, after, receiver))
    process.start()
    receiver.close()
    return _Running(job, process, sender)


def _tell(run: _Running) -> None:
    with suppress(OSError):  # it has just ended
        run.orders.send("stop")


@contextmanager
def _stop_signals(say: Callable[[str], None]) -> Iterator[list[int]]:
    """Counts Ctrl-C and SIGTERM in a list of one."""
    asked = [0]

    def ask(_number: int, _frame: Any) -> None:
        asked[0] += 1
        if asked[0] == 1:
            say("\nlets the runs finish their step and save; once more does not")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# -- results -----------------------------------------------------------------------------------------------


def gather(jobs: Iterable[Job], metrics: Sequence[str]) -> list[Row]:
    """The finished runs' metrics, one row for each record with any of them, in order of time.

    A row has the cell's labels, `seed`, `env_steps`, `updates` and those metrics that were logged then.
    """
    rows = []
    for job in jobs:
        if not job.finished:
            continue
        moments: dict[int, Row] = {}
        for line in read_metrics(job.run_dir):
            found = {name: line[name] for name in metrics if line.get(name) is not None}
            if found:
                head = dict(job.cell.labels) | {"seed": job.seed}
                head |= {"env_steps": line["env_steps"], "updates": line["updates"]}
                moments.setdefault(line["env_steps"], head).update(found)
        rows += [moments[steps] for steps in sorted(moments)]
    return rows


def core_minutes(jobs: Iterable[Job]) -> float:
    """Training time of the finished runs together, in minutes."""
    lines = [read_metrics(job.run_dir) for job in jobs if job.finished]
    return sum(records[-1]["wall_seconds"] for records in lines if records) / 60


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Rows as CSV; the columns are all names in order of appearance, floats have 6 significant digits."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
