"""What each process pays once: the import, and the first call of everything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from experiments.bench.sizes import Sizes
from experiments.bench.timing import Measure

PROGRAM = """
import sys, time
started = time.perf_counter()
import importlib, json
subject = importlib.import_module(sys.argv[1])
imported = time.perf_counter()
from experiments.bench.transitions import pool_of
pool = pool_of(8)
begun = time.perf_counter()
replay = subject.transitions(1000, 8, True)
for values in pool:
    replay.add(values)
replay.sample(32)
replay.update(32)
print(json.dumps([imported - started, time.perf_counter() - begun]))
"""


def first_use(subject: ModuleType, sizes: Sizes, variant: str, cache: Path) -> dict[str, Measure]:
    """(I) Import, and some calls of each kind where nothing was compiled before, and where a process before has."""
    measures: dict[str, list[float]] = {"import": [], "first": [], "again": []}
    for _ in range(sizes.starts):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("first", "again"):
                imported, called = _started(subject.__name__, folder)
                measures["import"].append(imported)
                measures[name].append(called)
    return {name: Measure("s", samples) for name, samples in measures.items()}


def _started(module: str, compiled: str) -> tuple[float, float]:
    """Seconds of the import and of the calls, in a new process that keeps compiled code in this folder."""
    environment = os.environ | {"NUMBA_CACHE_DIR": compiled}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, module], env=environment, capture_output=True, text=True, check=True
    )
    imported, called = json.loads(done.stdout.splitlines()[-1])
    return imported, called
