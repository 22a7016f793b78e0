"""The `r2d2` command: runs one command, reports its errors, and tolerates closed output pipes."""

from __future__ import annotations

import dis
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import r2d2
from r2d2.checkpoint.checkpoint import CheckpointError
from r2d2.cli.commands import COMMANDS
from r2d2.dataset.files import DatasetError
from r2d2.errors import UserError

_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_RAISE = dis.opmap["RAISE_VARARGS"]
_ROOT = Path(r2d2.__file__).resolve().parent
_OURS = (_ROOT, (_ROOT / "envs").resolve())  # which is a link in a checkout
_LIBRARIES = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib"))


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code, one of `commands.EXIT_CODES`.

    User errors are shown in one line, without a traceback; R2D2_TRACEBACK=1 shows it.
    """
    args = list(sys.argv[1:] if arguments is None else arguments)
    with dropping_unread_output():
        if args[:1] == ["--version"]:
            print(f"r2d2 {r2d2.__version__}")
            return 0
        name = " ".join(["r2d2", *(word for word in args[:1] if word in COMMANDS.modules)])
        try:
            return COMMANDS.run(args)
        except KeyboardInterrupt:
            print(f"{name}: interrupted, without saving", file=sys.stderr)
            return 130
        except Exception as error:
            if os.environ.get("R2D2_TRACEBACK") or not is_message(error):
                raise
            print(f"{name}: {error}", file=sys.stderr)
            return exit_code(error)


# -- errors: messages to the user, and those that need a traceback -------------------------------------------


def is_message(error: Exception) -> bool:
    """Whether an error's message is enough for the user: it was raised by our own code, or by the system.

    A ValueError from an environment, numpy or torch is a bug, which needs a traceback.
    """
    if isinstance(error, UserError):
        return True
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return False
    if isinstance(error, OSError):  # unless the user's own code raised it
        return all(_within(frame.f_code.co_filename, (*_OURS, *_LIBRARIES)) for frame, _ in frames)
    if not isinstance(error, ValueError | MemoryError | CheckpointError | DatasetError | FloatingPointError):
        return False
    code = frames[-1][0].f_code
    at = _last_instruction(error)
    return isinstance(error, MemoryError) or (_within(code.co_filename, _OURS) and code.co_code[at] == _RAISE)


def exit_code(error: Exception) -> int:
    """2 for errors before anything was started, 1 for failures."""
    return 2 if isinstance(error, ValueError | MemoryError) else 1


def _last_instruction(error: Exception) -> int:
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_lasti


def _within(file: str, folders: Iterable[Path]) -> bool:
    return any(Path(file).resolve().is_relative_to(folder) for folder in folders)


# -- the standard streams, whose reader may exit early, as in `r2d2 --help | head` --------------------------


@contextmanager
def dropping_unread_output() -> Iterator[None]:
    """Context in which output to a closed pipe is dropped, and does not end the command or its training."""
    before = sys.stdout, sys.stderr
    out = _Unread(sys.stdout)
    sys.stdout, sys.stderr = out, _Unread(sys.stderr, beside=out)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


class _Unread:
    """A text stream that becomes /dev/null when its pipe is closed, and whose lines do not mix with another's."""

    def __init__(self, stream: TextIO, beside: _Unread | None = None) -> None:
        """`beside` is a stream to the same terminal, whose unfinished line is ended before each write."""
        self._stream, self._beside = stream, beside
        self._unfinished = False

    def write(self, text: str) -> int:
        if self._beside is not None and self._beside._unfinished and self._beside.isatty():
            self._beside.write("\n")
            self._beside.flush()
            text = text.removeprefix("\n")  # a message that starts with a newline would leave a blank line
        if os.environ.get("NO_COLOR"):  # https://no-color.org
            text = _COLORS.sub("", text)
        self._unfinished = not text.endswith("\n") if text else self._unfinished
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        """Buffered output goes to /dev/null too, or the interpreter would complain on exit."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
