"""Rescue: a run whose environments crash is saved before it ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from r2d2.runtime.local import LocalRun


@contextmanager
def environments_of(run: LocalRun) -> Iterator[None]:
    """Marks exceptions raised within as the environments' own."""
    try:
        yield
    except BaseException as error:
        run.crashed = not isinstance(error, KeyboardInterrupt)
        raise


def rescue(run: LocalRun) -> None:
    """Save if the environments crashed. Running episodes end with their last observations."""
    if not run.crashed:
        return
    try:
        rows = run.actor.end()
        for ended in rows:
            run.replay.truncate(ended.streams)
        run.put(rows)
        run.write()
        run.rescued = True
    except Exception as error:  # the environments' own exception says more
        print(f"the run could not be saved: {error!r}", file=sys.stderr)
