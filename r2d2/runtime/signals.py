"""The signals that stop a run."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from r2d2.runtime.schedule import Schedule

ASKING = [signal.SIGINT, signal.SIGTERM]  # a run to stop
if hasattr(signal, "SIGHUP"):
    ASKING.append(signal.SIGHUP)


@contextmanager
def stopping(schedule: Schedule) -> Iterator[None]:
    """Context in which Ctrl-C, SIGTERM and SIGHUP (the terminal was closed) make the run save and end. A second
    Ctrl-C or SIGTERM interrupts it at once. Signals that are already ignored, as SIGHUP by nohup, stay so."""

    def ask(number: int, _: Any) -> None:
        if not schedule.stop:
            schedule.stop = True
            with contextlib.suppress(OSError):  # the terminal may be gone
                print("\nfinishing the step and saving; once more interrupts without saving", file=sys.stderr)
        elif number in (signal.SIGINT, signal.SIGTERM):  # a closing terminal may send SIGHUP twice
            raise KeyboardInterrupt

    taken = [n for n in ASKING if n == signal.SIGINT or signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, ask) for number in taken}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
