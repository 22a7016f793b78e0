"""The folder of a run: its name, its content, and how that is read and written.

config.json        everything that determines the run
provenance.json    commit, versions, host and command of the start and of each resume
metrics.jsonl      every metric, one line per report
checkpoints/       the last two complete ones
policies/          weights alone: `best` by greedy evaluation, and `last`
evaluations/       results of `r2d2 evaluate`
videos/
lock               the process that uses the run now (`runs/lock.py`)
"""

from __future__ import annotations

import itertools
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from r2d2.checkpoint import checkpoint
from r2d2.config import Config, from_dict, to_dict
from r2d2.errors import UserError
from r2d2.runs.provenance import provenance
from r2d2.tracking.wandb_login import sweep_run

RUNS = Path("runs")  # in the working folder
CONFIG, PROVENANCE, LOCK = "config.json", "provenance.json", "lock"
CHECKPOINTS, POLICIES, EVALUATIONS, VIDEOS = "checkpoints", "policies", "evaluations", "videos"


class RunError(UserError, ValueError):
    """A run folder that cannot be used as asked."""


@contextmanager
def new_folder(config: Config, preset: str, run_dir: Path | None = None) -> Iterator[Path]:
    """Make the folder of a new run: `run_dir`, which must be empty or absent, or one with a generated name.

    Folders created here are removed if they are empty at the end. Raises RunError with the remedy.
    """
    wanted = RUNS / own_name(config, preset) if run_dir is None else run_dir
    made = [folder for folder in (wanted, *wanted.parents) if not folder.exists()]
    try:
        folder = _take(wanted) if run_dir is None else wanted
        folder.mkdir(parents=True, exist_ok=True)
        found = [file.name for file in folder.iterdir() if file.name != LOCK]
    except OSError as error:
        raise RunError(
            f"the run folder {wanted} cannot be written ({error.strerror}): --run-dir names another one"
        ) from None
    if found:
        raise RunError(
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
    """<task>-<preset>-<seed>-<time>. Agents of a sweep may start at the same moment, so their names end in the id
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


def create(run_dir: Path, config: Config, preset: str, origin: Mapping[str, Any] | None = None) -> None:
    """Make the folder of a new run. `origin` is added to its provenance."""
    (run_dir / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    write_config(run_dir, config, preset)
    write_json(run_dir / PROVENANCE, [provenance() | dict(origin or {})])


def read_config(run_dir: Path) -> tuple[Config, str]:
    """The config and preset name of a run; RunError if there is no config, or it cannot be read."""
    file = run_dir / CONFIG
    if not file.is_file():
        raise RunError(f"{run_dir} holds no run: there is no {CONFIG} in it")
    try:
        saved = read_json(file)
        return from_dict(saved["config"]), str(saved["preset"])
    except (AttributeError, KeyError, TypeError) as error:
        raise RunError(f"{file} is damaged ({error!r}): put back the copy that the run began with") from None
    except RunError:
        raise
    except ValueError as error:  # from `from_dict`, which does not know the file
        raise RunError(f"{file}: {error}") from None


def write_config(run_dir: Path, config: Config, preset: str) -> None:
    """Replace the config of a run."""
    write_json(run_dir / CONFIG, {"preset": preset, "config": to_dict(config)})


def read_provenance(run_dir: Path) -> list[dict[str, Any]]:
    """The provenance of the start and of each resume of a run. The run does not depend on it, so what cannot be
    read is left out, with a warning."""
    file = run_dir / PROVENANCE
    try:
        history = read_json(file)
    except (RunError, OSError) as error:
        print(f"where {run_dir} came from is not known: {error}", file=sys.stderr)
        return []
    if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
        print(f"where {run_dir} came from is not known: {file} is not a list of objects", file=sys.stderr)
        return []
    return history


def add_provenance(run_dir: Path) -> None:
    """Record that this process works on the run. A file that cannot be read is kept under another name."""
    file, history = run_dir / PROVENANCE, read_provenance(run_dir)
    if not history and file.exists():
        file.replace(file.with_name(f"{PROVENANCE}.unreadable"))
    write_json(file, [*history, provenance()])


def newest_checkpoint(run_dir: Path) -> Path | None:
    """The newest complete checkpoint, None for a run stopped before its first; RunError if all are gone."""
    root = run_dir / CHECKPOINTS
    if not root.is_dir():
        raise RunError(
            f"{root} is missing: put it back, or remove {run_dir} and train again with the config in it"
        )
    return checkpoint.latest(root)


def checkpoint_of(run_dir: Path, path: Path | None) -> Path:
    """`path`, or the newest checkpoint of a run; RunError if it has none."""
    chosen = newest_checkpoint(run_dir) if path is None else path
    if chosen is None:
        raise RunError(
            f"{run_dir} holds no complete checkpoint yet: `r2d2 resume {run_dir}` trains it from the beginning"
        )
    return chosen


def read_json(file: Path) -> Any:
    """The content of a JSON file; RunError, with the file's name, if it is not one."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise RunError(
            f"{file} is not UTF-8 (byte {error.start} is 0x{error.object[error.start]:02x}): save it as UTF-8"
        ) from None
    except json.JSONDecodeError as error:
        raise RunError(f"{file} is damaged ({error}): put back the copy that the run began with") from None


def write_json(file: Path, value: Any) -> None:
    """Write a JSON file atomically."""
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    partial.replace(file)
