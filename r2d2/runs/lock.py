"""One owner at a time for a run folder.

The lock is the system's (flock), so it is released when the process ends, for whatever reason; the file names the
owner. The processes of a cluster work for the one that holds it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from r2d2.runs.folder import LOCK, RunError

_held: set[int] = set()  # file descriptors


class RunInUse(RunError):
    """Another process works on the run."""


@contextmanager
def owned(run_dir: Path) -> Iterator[None]:
    """Own the folder, which is created if missing; RunInUse, with the owner's name, if another process owns it.

    A folder that was created here and stayed empty is removed at the end.
    """
    new = not run_dir.exists()
    handle = _acquire(run_dir)
    _held.add(handle)
    try:
        yield
    finally:
        _held.discard(handle)
        if new and run_dir.is_dir() and [file.name for file in run_dir.iterdir()] == [LOCK]:
            (run_dir / LOCK).unlink()
            run_dir.rmdir()
        os.ftruncate(handle, 0)
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _acquire(run_dir: Path) -> int:
    """The descriptor of the locked file."""
    file = run_dir / LOCK
    while True:
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
            handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(f"the run folder {run_dir} cannot be written: {error}; name another one") from None
        try:
            _lock(handle, run_dir)
            if file.exists() and os.path.samestat(os.fstat(handle), file.stat()):
                _sign(handle)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # the file, perhaps its folder too, was removed before we locked it


def _lock(handle: int, run_dir: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise RunInUse(
                f"{run_dir} is in use by {_owner(handle)}: two processes would overwrite each other's files. "
                "Stop that one first; a process that was killed no longer counts"
            ) from None
        print(
            f"{run_dir} cannot be locked on this file system ({error}): see to it that no other process "
            "trains in it",
            file=sys.stderr,
        )


def _sign(handle: int) -> None:
    about = {
        "pid": os.getpid(),
        "host": platform.node(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(sys.argv),
    }
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(about).encode(), 0)


def _owner(handle: int) -> str:
    try:
        about = json.loads(os.pread(handle, 1 << 16, 0))
        return f"process {about['pid']} on {about['host']} since {about['since']}"
    except (ValueError, TypeError, KeyError):
        return "a process that has not given its name yet"


def _let_go() -> None:
    """A forked child shares the descriptor, and would keep the lock after its parent has ended."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_let_go)
