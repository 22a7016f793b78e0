"""Laws of a run whose surroundings change: it is stopped and continued, moved, or may not write."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_cases import Command, arguments, differences, lines, new_run, run_command, state, tiny

from r2d2.runs import folder

READ_ONLY = 'mount -t tmpfs tmpfs "$0" && cp -r "$1" "$0" && mount -o remount,ro "$0" && shift && exec "$@"'


def assert_ends_as_if_left_alone(run_dir: Path, tmp_path: Path) -> None:
    new_run(tiny(), tmp_path / "whole").train()
    assert differences(state(run_dir), state(tmp_path / "whole")) == []
    assert lines(run_dir) == lines(tmp_path / "whole")


def test_a_run_that_is_stopped_and_continued_ends_as_it_would_have(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with Command(tmp_path, "train", "r2d2", *arguments(), "--run-dir", run_dir) as command:
        for count in (1, 3):
            command.wait_until(lambda: len(lines(run_dir)) >= count)  # noqa: B023 (called at once)
            command.send(signal.SIGSTOP)
            time.sleep(0.3)
            command.send(signal.SIGCONT)
        done = command.wait()
    assert done.code == 0, done.err
    assert_ends_as_if_left_alone(run_dir, tmp_path)


def test_a_run_whose_folder_was_moved_goes_on_there(tmp_path: Path) -> None:
    dead = run_command(
        tmp_path, "train", "r2d2", *arguments(), "--run-dir", tmp_path / "here", kill_after=260
    )
    assert dead.code == -9
    moved = tmp_path / "other disk" / "there"
    moved.parent.mkdir()
    shutil.move(tmp_path / "here", moved)
    done = run_command(tmp_path, "resume", moved)
    assert done.code == 0, done.err
    assert not (tmp_path / "here").exists()
    assert_ends_as_if_left_alone(moved, tmp_path)


def test_where_no_folder_can_be_made_is_said_before_training(tmp_path: Path) -> None:
    done = run_command(tmp_path, "train", "r2d2", *arguments(), "--run-dir", "/proc/r2d2-run")
    assert done.code == 2
    assert "/proc/r2d2-run cannot be written" in done.err
    assert "Traceback" not in done.err


def test_a_run_folder_that_may_only_be_read_is_refused(tmp_path: Path) -> None:
    """In a mount of its own, since the permissions of files do not bind root."""
    run_dir, mount = tmp_path / "run", tmp_path / "mount"
    folder.create(run_dir, tiny(run__steps=60), "r2d2")
    new_run(tiny(run__steps=60), run_dir).train()
    mount.mkdir()
    inside = ["unshare", "--mount", "sh", "-c", READ_ONLY, str(mount), str(run_dir)]
    if shutil.which("unshare") is None or subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("may not mount anything here")
    command = [*inside, sys.executable, "-m", "r2d2", "resume", str(mount / "run"), "--steps", "100"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done
    assert f"{mount / 'run'} cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
