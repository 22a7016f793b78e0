"""What the numbers were measured on: hardware, load and versions, without names or paths."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from r2d2.provenance import provenance


def machine() -> dict[str, Any]:
    """As plain data; `load` is the average number of busy processes in the minute before the start."""
    source = provenance()
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "git": source["git"],
        "versions": source["versions"],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _cpu() -> str:
    """The processor's own name where Linux tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
