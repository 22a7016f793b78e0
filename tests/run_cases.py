"""What the tests of runs share: a tiny run, commands in processes of their own, and comparing what they left.

Commands run in children of multiprocessing's fork server, which has imported everything once (`warm.py`): a child
is a fresh process with nothing of a run in it, and starts in milliseconds.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from checkpoint_cases import same

from r2d2.checkpoint import checkpoint
from r2d2.cli import main as cli
from r2d2.config import Config, from_dict, to_dict
from r2d2.runs.folder import CHECKPOINTS
from r2d2.runtime.local import LocalRun
from r2d2.tracking.names import CLOCKS, METRICS
from r2d2.tracking.tracker import Tracker, read_metrics

CLOCK = {  # the only fields of a line that may differ between equal runs
    "wall_seconds", "unix_time", "time/env_steps_per_second", "time/updates_per_second", "memory/process_bytes"
}  # fmt: skip
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["r2d2.runtime.training", "r2d2.runtime.evaluation", "tests.warm"])

TINY: dict[str, Any] = {
    "env.id": "CartPole-v1", "env.num_envs": 2, "env.frame_size": 42, "env.threads": 1,
    "network.torso": "small", "network.stack": 2, "network.features": 16, "network.core_width": 8,
    "network.hidden": 16,
    "replay.steps": 200, "replay.burn_in": 4, "replay.unroll": 8, "replay.n_step": 2, "replay.period": 4,
    "replay.block": 8, "replay.min_steps": 40, "replay.replay_ratio": 2.0,
    "learner.batch": 4, "learner.target_period": 7, "actor.actor_update_period": 5,
    "run.steps": 400, "run.device": "cpu", "run.threads": 1, "run.log_period": 50,
    "run.checkpoint_period": 230, "run.evaluate_period": 0, "run.video_period": 0,
    "run.evaluate_episodes": 2, "run.track": "none",
}  # fmt: skip
PONG = {"env.id": "ALE/Pong-v5", "env.options": {"max_frames": 240}, "run.steps": 300}


def tiny(**changes: Any) -> Config:
    """A run of a second; changes as `run__steps=100`."""
    values: dict[str, Any] = to_dict(Config())
    for name, value in (TINY | dotted(changes)).items():
        section, _, key = name.partition(".")
        values[section][key] = value
    config: Config = from_dict(values)
    return config


def arguments(**changes: Any) -> list[str]:
    """The same run for the command line, without a preset."""
    parts: list[str] = []
    for name, value in (TINY | dotted(changes)).items():
        section, _, key = name.replace("_", "-").partition(".")
        parts.append(f"--{section}.{'no-' if value is False else ''}{key}")
        if isinstance(value, bool):
            continue
        parts += [str(x) for pair in value.items() for x in pair] if isinstance(value, dict) else [str(value)]
    return parts


def dotted(changes: dict[str, Any]) -> dict[str, Any]:
    """`run__steps` as `run.steps`."""
    return {name.replace("__", "."): value for name, value in changes.items()}


def new_run(config: Config, run_dir: Path) -> LocalRun:
    """A run in this process that writes `metrics.jsonl` only."""
    return LocalRun(config, run_dir, Tracker(run_dir))


class Output(NamedTuple):
    """What a command left behind; `code` is negative when a signal killed it."""

    code: int
    out: str
    err: str


def call(capsys: pytest.CaptureFixture[str], *args: Any) -> Output:
    """Runs a command in this process."""
    capsys.readouterr()
    try:
        code = cli.main([str(arg) for arg in args])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    return Output(code, *capsys.readouterr())


class Command:
    """A command in a process of its own, which is killed at the end of a `with`."""

    def __init__(self, folder: Path, *args: Any, **conditions: Any) -> None:
        self.files = [folder / f"{time.monotonic_ns()}.{name}" for name in ("out", "err")]
        job = ([str(arg) for arg in args], [str(file) for file in self.files], conditions)
        self.process: BaseProcess = SERVER.Process(target=execute, args=job)
        self.process.start()

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.join()

    def send(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    @property
    def err(self) -> str:
        return self.files[1].read_text() if self.files[1].exists() else ""

    def wait(self, seconds: float = 60) -> Output:
        self.process.join(seconds)
        assert self.process.exitcode is not None, f"still running: {self.err}"
        return Output(self.process.exitcode, self.files[0].read_text(), self.err)

    def wait_until(self, condition: Callable[[], Any], seconds: float = 60) -> None:
        """Returns once the condition holds; fails when the command ends before."""
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.is_alive(), f"ended too early: {self.err}"
            assert time.monotonic() < end, f"waited too long: {self.err}"
            time.sleep(0.001)


def execute(
    args: list[str],
    files: list[str],
    conditions: dict[str, Any],
) -> None:
    """The body of a child. Conditions: `kill_after` environment steps, `slow_save` seconds, `file_limit`
    bytes that a file may have, `cwd` to work in."""
    for descriptor, name in enumerate(files, 1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), descriptor)
    act, save = LocalRun.act, LocalRun.save

    def act_and_die(run: LocalRun, *, cut: bool) -> None:
        act(run, cut=cut)
        if run.actor.steps > conditions["kill_after"]:
            os.kill(os.getpid(), signal.SIGKILL)

    def save_slowly(run: LocalRun) -> Path:
        time.sleep(conditions["slow_save"])
        return save(run)

    if "kill_after" in conditions:
        LocalRun.act = act_and_die  # type: ignore[method-assign, assignment]
    if "slow_save" in conditions:
        LocalRun.save = save_slowly  # type: ignore[method-assign, assignment]
    if "cwd" in conditions:
        os.chdir(conditions["cwd"])
    if "file_limit" in conditions:
        resource.setrlimit(resource.RLIMIT_FSIZE, (conditions["file_limit"], resource.RLIM_INFINITY))
    code = cli.main(args)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run_command(folder: Path, *args: Any, **conditions: Any) -> Output:
    """Runs a command in a process of its own to its end."""
    with Command(folder, *args, **conditions) as command:
        return command.wait()


def state(run_dir: Path, number: int | None = None) -> dict[str, Any]:
    """The newest checkpoint of a run, or the one of that number, without wall-clock times."""
    root = run_dir / CHECKPOINTS
    tree = checkpoint.load(root if number is None else root / f"ckpt-{number:08d}")
    del tree["tracker"]["wall_seconds"]
    del tree["tracker"]["sinks"]
    return tree


def lines(run_dir: Path) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl` without wall-clock times; a name that the docs do not list is an error."""
    found = [{k: v for k, v in line.items() if k not in CLOCK} for line in read_metrics(run_dir)]
    unlisted = {name for line in found for name in line} - set(METRICS) - set(CLOCKS)
    assert not unlisted, f"list these metrics in r2d2/tracking/names.py: {sorted(unlisted)}"
    return found


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """The paths at which two trees are not the same bit for bit."""
    return list(_differences(a, b, path))


def _differences(a: Any, b: Any, path: str) -> Iterator[str]:
    if isinstance(a, dict) and isinstance(b, dict) and list(a) == list(b):
        for key in a:
            yield from _differences(a[key], b[key], f"{path}/{key}")
    elif not same(a, b):
        yield path
