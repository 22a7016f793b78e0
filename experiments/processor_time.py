"""The processor time of a run, whatever the number of processes that trained it."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

from r2d2.runs.folder import read_provenance

CPU = "cpu_seconds.json"  # file in a run folder: what each process that trained it took


def note_processor_time(run_dir: Path) -> None:
    """Keep the processor time of this process, with its threads, beside the provenance of its start or resume."""
    history = read_provenance(run_dir) if run_dir.exists() else []
    if history:
        known = _known_times(run_dir)
        # Where a run had nothing left to train, the time of the process that trained it stays.
        known.setdefault(str(len(history) - 1), round(time.process_time(), 1))
        (run_dir / CPU).write_text(json.dumps(known) + "\n")


def processor_seconds(run_dir: Path) -> float:
    """The processor time of all processes that trained a run; NaN where that of one is not known, as after a crash
    or for a run made by hand."""
    known = _known_times(run_dir)
    complete = known and len(known) == len(read_provenance(run_dir))
    return sum(known.values()) if complete else math.nan


def _known_times(run_dir: Path) -> dict[str, float]:
    """Seconds by the number of a start or resume."""
    file = run_dir / CPU
    known: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
    return known
