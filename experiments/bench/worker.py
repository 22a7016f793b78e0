"""One job in a process of its own: `python -m experiments.bench.worker job.json result.json`.

So a library that crashes, hangs or takes all threads affects only its own row.
"""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from experiments.bench.sizes import TIERS, Sizes
from experiments.bench.subjects import OURS, SUBJECTS
from experiments.bench.timing import Measure

Part = Callable[[ModuleType, Sizes, str, Path], dict[str, Measure]]


def _part(name: str) -> Part:
    """A part's function, whose module is imported on demand."""
    module = {
        "sequences": "sequences", "growth": "sequences", "threads": "sequences",
        "transitions": "transitions", "uniform": "transitions", "scales": "transitions", "tree": "transitions",
        "rare": "transitions", "footprint": "footprint", "first_use": "first_use", "persistence": "persistence",
        "codecs": "codecs",
    }[name]  # fmt: skip
    part: Part = getattr(importlib.import_module(f"experiments.bench.{module}"), name)
    return part


def run(job: dict[str, Any]) -> dict[str, Any]:
    """The job's result: status 'ok' with measures, 'absent' or 'failed' with the reason."""
    try:
        subject = importlib.import_module(SUBJECTS[job["subject"]])
        reason = getattr(subject, "LACKS", {}).get(job["part"])
        if reason is not None:
            return {"status": "absent", "reason": reason}
        packages = {name: _version(name) for name in ("numpy", *subject.PACKAGES)}
        sizes = TIERS[job["tier"]]
        if job["subject"] != OURS:
            sizes = replace(sizes, budget=sizes.rival_budget)
        measures = _part(job["part"])(subject, sizes, job["variant"], Path(job["cache"]))
    except Exception as error:  # whatever a library raises is reported, and the others continue
        traceback.print_exc()
        return {"status": "failed", "reason": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    return {
        "status": "ok",
        "measures": {name: measure.summary() for name, measure in measures.items()},
        "packages": packages,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(run(json.loads(Path(sys.argv[1]).read_text()))))
