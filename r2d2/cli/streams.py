"""The standard streams of a command whose reader may go away, as in `r2d2 --help | head`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

_COLORS = re.compile(r"\x1b\[[0-9;]*m")


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
