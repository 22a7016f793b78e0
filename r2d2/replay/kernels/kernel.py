"""How a loop is compiled: once for each machine, if there is a folder where the result can be kept."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit

# Numbers are divided as numpy does: nothing looks for divisions by zero, and none is made.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
# Always inlined: a call would pass a dozen arrays by value, which costs more than most of these loops.
_PART: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True}

_said = False


def kernel(loop: Callable[..., Any]) -> Any:
    """Compile a loop when it is first called; it releases the interpreter's lock while it runs.

    numba keeps the result beside the module or in the user's cache folder. Where it may write to neither, as
    in a read-only installation of a user without a home, each process compiles the loop again.
    """
    global _said
    try:
        compiled: Any = njit(cache=True, **_OPTIONS)(loop)
    except RuntimeError:  # no place for the cache
        if not _said:
            _said = True
            print(
                "r2d2.replay: no folder for compiled code can be written, so each process compiles it again "
                "(some seconds): set NUMBA_CACHE_DIR to a folder of yours",
                file=sys.stderr,
            )
        return njit(**_OPTIONS)(loop)
    # numba looks at the file of the loop alone, but a loop contains those that it calls from other files.
    compiled._cache._cache_file._source_stamp = _stamp()
    return compiled


def inner(loop: Callable[..., Any]) -> Any:
    """Compile a loop that only other loops call, as a part of them."""
    return njit(**_OPTIONS, **_PART)(loop)


@cache
def _stamp() -> tuple[tuple[str, float, int], ...]:
    """Which files of loops the compiled ones were made from."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple((file.name, file.stat().st_mtime, file.stat().st_size) for file in files)
