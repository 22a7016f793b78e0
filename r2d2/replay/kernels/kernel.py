"""How a loop is compiled: once for each machine, if there is a folder where the result can be kept."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from numba import njit

_said = False


def kernel(loop: Callable[..., Any]) -> Any:
    """Compile a loop when it is first called; it releases the interpreter's lock while it runs.

    numba keeps the result beside the module or in the user's cache folder. Where it may write to neither, as
    in a read-only installation of a user without a home, each process compiles the loop again.
    """
    global _said
    try:
        return njit(cache=True, nogil=True)(loop)
    except RuntimeError:  # no place for the cache
        if not _said:
            _said = True
            print(
                "r2d2.replay: no folder for compiled code can be written, so each process compiles it again "
                "(some seconds): set NUMBA_CACHE_DIR to a folder of yours",
                file=sys.stderr,
            )
        return njit(nogil=True)(loop)
