"""The folder of a new run: its name, and how a name is taken so that no other run has it."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from r2d2.config import Config
from r2d2.errors import UserError
from r2d2.tracking.wandb import sweep_run

RUNS = Path("runs")  # in the working folder
LOCK = "lock"  # a file that may be in a folder in which no run has begun


class FolderError(UserError, ValueError):
    """A folder in which no run can begin."""


@contextmanager
def new_folder(config: Config, preset: str, run_dir: Path | None = None) -> Iterator[Path]:
    """Make the folder of a new run: `run_dir`, which must be empty or absent, or one with a name of its own.

    Folders that were made here are removed if nothing is in them at the end. Raises FolderError with the remedy.
    """
    wanted = RUNS / own_name(config, preset) if run_dir is None else run_dir
    made = [folder for folder in (wanted, *wanted.parents) if not folder.exists()]
    try:
        folder = _take(wanted) if run_dir is None else wanted
        folder.mkdir(parents=True, exist_ok=True)
        found = [file.name for file in folder.iterdir() if file.name != LOCK]
    except OSError as error:
        raise FolderError(
            f"the run folder {wanted} cannot be written ({error.strerror}): --run-dir names another one"
        ) from None
    if found:
        raise FolderError(
            f"{folder} is not empty (it has {found[0]}): `r2d2 resume {folder}` resumes a run in it, --run-dir "
            "names another folder"
        )
    try:
        yield folder
    finally:
        with suppress(OSError):  # not empty
            for empty in [folder, *made[1:]] if made else []:
                if [file.name for file in empty.iterdir()] == [LOCK]:
                    (empty / LOCK).unlink()
                empty.rmdir()


def own_name(config: Config, preset: str) -> str:
    """<task>-<preset>-<seed>-<time>. Agents of a sweep may begin at the same moment, so their names end in the id
    of the sweep's run."""
    task = re.sub(r"[^\w.+-]", "_", config.env.id.split("/")[-1].split(":")[-1])
    when = sweep_run() or time.strftime("%Y%m%d-%H%M%S")
    return f"{task}-{preset}-s{config.run.seed}-{when}"


def _take(wanted: Path) -> Path:
    """Make this folder, or one with a suffix if another process has it."""
    for number in itertools.count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise AssertionError
