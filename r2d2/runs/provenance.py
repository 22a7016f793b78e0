"""The provenance of a run: code, packages, machine and command, as plain data."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numpy", "gymnasium", "ale-py", "wandb", "numba")
SOURCE = Path(__file__).resolve().parents[2]  # the folder that holds the package


def provenance() -> dict[str, Any]:
    """Everything about this process that is not in the config but may change results.

    `git` is None when the code does not run from a checkout of its own, a package when it is not installed.
    """
    return {
        "git": _git(SOURCE),
        "versions": {name: _version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "host": platform.node(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "cuda_device": _cuda_device(),
        "command": list(sys.argv),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _git(source: Path) -> dict[str, Any] | None:
    """The commit, and whether there are uncommitted changes; None unless `source` is the root of a checkout."""
    top = _run_git(source, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != source.resolve():
        return None  # for example, installed inside another project's checkout
    commit = _run_git(source, "rev-parse", "--verify", "HEAD")  # None before the first commit
    changes = _run_git(source, "status", "--porcelain")
    return {"commit": commit, "dirty": None if changes is None else changes != ""}


def _run_git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cuda_device() -> str | None:
    if _version("torch") is None:
        return None
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
