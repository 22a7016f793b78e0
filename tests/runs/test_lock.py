"""Laws of ownership: one process at a time works in a run folder, and a kill lets go of it."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_cases import Command, arguments, lines, run_command, state

from r2d2.checkpoint import checkpoint
from r2d2.runs.lock import LOCK, RunInUse, owned

ENDLESS = arguments(run__steps=10_000_000, run__checkpoint_period=60, run__log_period=20)


def test_a_second_owner_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    found = rf"in use by process {os.getpid()} on .* since 20"
    with owned(tmp_path), pytest.raises(RunInUse, match=found), owned(tmp_path):
        pass
    with owned(tmp_path):  # and is free again
        pass


KILLED = """
import os, pathlib, signal, time
from r2d2.runs.lock import owned
with owned(pathlib.Path({!r})):
    if os.fork() == 0:
        time.sleep(60)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_owner_that_was_killed_does_not_hold_it(tmp_path: Path) -> None:
    """Nor do processes that it forked, an environment's for instance."""
    process = subprocess.Popen([sys.executable, "-c", KILLED.format(str(tmp_path))], start_new_session=True)
    try:
        assert process.wait() == -signal.SIGKILL
        assert "pid" in (tmp_path / LOCK).read_text()
        for _ in range(100):
            with contextlib.suppress(RunInUse), owned(tmp_path):  # the child may just be coming up
                return
            time.sleep(0.05)
        raise AssertionError("the child holds the lock")
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_a_folder_in_which_nothing_was_put_is_removed_and_any_other_stays(tmp_path: Path) -> None:
    with owned(tmp_path / "a"):
        pass
    assert not (tmp_path / "a").exists()
    (tmp_path / "b").mkdir()
    with owned(tmp_path / "b"):
        pass
    with owned(tmp_path / "c"):
        (tmp_path / "c" / "config.json").touch()
    assert (tmp_path / "b").is_dir()
    assert (tmp_path / "c" / "config.json").exists()


def test_two_resumes_of_one_run_are_not_both_let_in(tmp_path: Path) -> None:
    """The second is refused and touches nothing; the first ends well, with all its lines and checkpoints."""
    run_dir = tmp_path / "run"
    with Command(tmp_path, "train", "dqn", *ENDLESS, "--run-dir", run_dir) as first:
        first.wait_until(lambda: checkpoint.latest(run_dir / "checkpoints") is not None)
        second = run_command(tmp_path, "resume", run_dir)
        assert second.code == 2
        assert f"{run_dir} is in use by process {first.process.pid} on" in second.err
        assert "Traceback" not in second.err
        first.send(signal.SIGINT)
        assert first.wait(30).code == 130
    steps = [line["env_steps"] for line in lines(run_dir) if "train/episodes" in line]
    assert all(b - a <= 24 for a, b in itertools.pairwise(steps))
    assert state(run_dir)["actor"]["steps"] == steps[-1]
