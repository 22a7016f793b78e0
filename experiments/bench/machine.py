"""The machine of a measurement: hardware, load and versions, without names or paths."""

from __future__ import annotations

import argparse
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import torch

from r2d2.runs.provenance import provenance


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


def headline(found: dict[str, Any], *more: str) -> str:
    """The result of `machine`, and more, as the first line of a report."""
    load, torch_version = f"load before the start {found['load']}", f"torch {found['versions'].get('torch')}"
    cores = f"{found['cores']} cores"
    return ", ".join((found["cpu"], cores, *more, load, torch_version, found["started"])) + "."


def usable_device(name: str) -> torch.device:
    """The device of that name, for argparse, which reports why it cannot be used."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise argparse.ArgumentTypeError(f"{name} cannot be used here: {error}".splitlines()[0]) from None
    return device


def device_name(device: torch.device) -> str:
    """The name of a device, as \"NVIDIA H200\"; a CPU's is in `machine`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _cpu() -> str:
    """The processor's model name, on Linux."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
