"""Which errors are messages to the user, and which need their traceback."""

from __future__ import annotations

import dis
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

import r2d2
from r2d2.checkpoint.checkpoint import CheckpointError
from r2d2.dataset.files import DatasetError
from r2d2.errors import UserError

_RAISE = dis.opmap["RAISE_VARARGS"]
_ROOT = Path(r2d2.__file__).resolve().parent
_OURS = (_ROOT, (_ROOT / "envs").resolve())  # which is a link in a checkout
_LIBRARIES = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib"))


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
