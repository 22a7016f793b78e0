"""The `r2d2` command: runs one command, reports its errors, and bears a reader that goes away."""

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

    Errors that say what the user can do are shown in one line, without a traceback; R2D2_TRACEBACK=1 shows it.
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


# -- errors: which are messages to the user, and which need their traceback ---------------------------------


def is_message(error: Exception) -> bool:
    """Whether an error says all that its reader needs: a `raise` statement of ours wrote it, or the system did.

    A ValueError out of an environment, of numpy or of torch is a fault in code, which only a traceback shows.
    """
    if isinstance(error, UserError):
        return True
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return False
    if isinstance(error, OSError):  # unless code of the user's own came upon it
        return all(_within(frame.f_code.co_filename, (*_OURS, *_LIBRARIES)) for frame, _ in frames)
    if not isinstance(error, ValueError | MemoryError | CheckpointError | DatasetError | FloatingPointError):
        return False
    code = frames[-1][0].f_code
    at = _last_instruction(error)
    return isinstance(error, MemoryError) or (_within(code.co_filename, _OURS) and code.co_code[at] == _RAISE)


def exit_code(error: Exception) -> int:
    """2 for what was wrong before anything began, 1 for what failed."""
    return 2 if isinstance(error, ValueError | MemoryError) else 1


def _last_instruction(error: Exception) -> int:
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_lasti


def _within(file: str, folders: Iterable[Path]) -> bool:
    return any(Path(file).resolve().is_relative_to(folder) for folder in folders)


# -- the standard streams, whose reader may go away, as in `r2d2 --help | head` ----------------------------


@contextmanager
def dropping_unread_output() -> Iterator[None]:
    """Within, output that nobody reads any more is dropped: it ends neither a command nor its training."""
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
    """A text stream that becomes /dev/null when its pipe is closed, and keeps its lines apart from another's."""

    def __init__(self, stream: TextIO, beside: _Unread | None = None) -> None:
        """`beside` is a stream on the same screen, whose unfinished line is ended before anything is written."""
        self._stream, self._beside = stream, beside
        self._unfinished = False

    def write(self, text: str) -> int:
        if self._beside is not None and self._beside._unfinished and self._beside.isatty():
            self._beside.write("\n")
            self._beside.flush()
            text = text.removeprefix("\n")  # of a message that ends the line itself
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
        """What is still buffered goes to /dev/null too, or the interpreter would complain at its end."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
