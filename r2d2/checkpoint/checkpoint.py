"""Saves the whole state of a run atomically, as a folder in which any changed bit is detected.

Killed at any moment, a save leaves the previous checkpoint usable. One process saves into a root at a time.
To go back to an older checkpoint, load it and continue saving: checkpoints with the same or a higher number
are then obsolete, and are deleted once the new one is complete. Tensors are loaded on the CPU, blobs as
`bytes`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from r2d2.checkpoint import segments
from r2d2.checkpoint.folders import LATEST, folders, latest
from r2d2.checkpoint.loading import load, load_part, read_index, verify
from r2d2.checkpoint.manifest import (
    ARRAYS,
    INDEX,
    TREE,
    CheckpointError,
    ForeignVersion,
    Manifest,
    read_manifest,
    sync_folder,
    write_file,
    write_manifest,
)
from r2d2.checkpoint.trees import Encoded, encode

__all__ = ["CheckpointError", "latest", "load", "load_part", "save", "verify"]

MARGIN = 1 << 20  # bytes required beyond the known sizes, for folders and `done`; ours


def save(
    root: Path, tree: Mapping[Any, Any], *, number: int, keep: int = 2, parent: Path | None = None
) -> Path:
    """Writes checkpoint `number` and returns its folder; keeps the last `keep`.

    `parent` is the checkpoint that the run last loaded or saved, the newest or not. Its blobs then count as
    written and are not compared. Without it every blob is compared (size, crc) with the newest checkpoint.

    Raises CheckpointError when it cannot be written (the older ones are untouched), TypeError when the tree
    holds something that cannot be restored exactly.
    """
    if number < 0 or keep < 1:
        raise ValueError(f"number must be >= 0 and keep >= 1, got number={number} and keep={keep}")
    root, encoded = Path(root), encode(tree)
    needed = encoded.nbytes + MARGIN
    created: list[Path] = []  # by this save, removed if it fails
    try:
        (root / segments.FOLDER).mkdir(parents=True, exist_ok=True)
        with _alone(root):
            _clear(root)
            known, trusted = _known(root, parent)
            pending = segments.plan(root, encoded.blobs, known, trusted=trusted)
            needed += pending.nbytes + sum(index.nbytes for index in pending.index.values())
            if (free := shutil.disk_usage(root).free) < needed:
                raise OSError(f"only {free:,} bytes are free")
            folder = _write(root, number, encoded, pending, created)
            _prune(root, folder, number, keep)
    except BaseException as error:
        _discard(created)
        if not isinstance(error, OSError):
            raise
        free = shutil.disk_usage(root).free if root.is_dir() else 0
        raise CheckpointError(
            f"checkpoint {number} could not be written to {root}: {error}. It needs {needed:,} bytes, "
            f"{free:,} are free. The older checkpoints are untouched: make room, then "
            f"`r2d2 resume {root.parent}` resumes from the newest"
        ) from error
    return folder


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Lets one process at a time save into a root: another's files would look like garbage. The lock is the
    system's, so a kill releases it; on a file system without locks nothing is checked."""
    handle = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError("another process is saving there") from None
        except OSError:
            pass
        yield
    finally:
        os.close(handle)


def _write(root: Path, number: int, encoded: Encoded, pending: segments.Plan, created: list[Path]) -> Path:
    """Everything that can fail comes before the two renames that complete the checkpoint."""
    tmp, pointer = root / f"ckpt-{number:08d}.tmp", root / f"{LATEST}.tmp"
    created += [tmp, pointer]
    tmp.mkdir()
    segments.write(root, encoded.blobs, pending, created)
    files = {
        ARRAYS: write_file(tmp / ARRAYS, encoded.content()),  # before the tree, which has the checksums
        TREE: write_file(tmp / TREE, [json.dumps(encoded.tree, allow_nan=False).encode()]),
        INDEX: write_file(tmp / INDEX, [index.tobytes() for index in pending.index.values()]),
    }
    counts = {path: len(index) for path, index in pending.index.items()}
    write_manifest(tmp, Manifest(number, files, counts, segments.used(pending.index)))
    sync_folder(tmp)
    names = (f"ckpt-{number:08d}{suffix}" for suffix in ["", *(f"-{i}" for i in range(1, 1000))])
    folder = next(root / name for name in names if not (root / name).exists())
    write_file(pointer, [folder.name.encode() + b"\n"])
    created.append(folder)
    tmp.rename(folder)
    sync_folder(root)
    pointer.replace(root / LATEST)
    created.clear()  # from here on the new checkpoint is the newest
    sync_folder(root)
    return folder


def _known(root: Path, parent: Path | None) -> tuple[dict[str, segments.Index], bool]:
    """The blobs already on disk, and whether equal keys imply equal content."""
    try:
        if parent is not None and Path(parent).resolve().parent == root.resolve():
            return read_index(Path(parent), read_manifest(Path(parent))), True
        newest = latest(root)
        return ({} if newest is None else read_index(newest, read_manifest(newest))), False
    except CheckpointError:
        return {}, False  # damaged: refer to nothing in it, rewrite every blob


def _clear(root: Path) -> None:
    """Removes what an interrupted save left behind. Raises CheckpointError for a root of another version."""
    _discard([*root.glob("ckpt-*.tmp"), root / f"{LATEST}.tmp"])
    in_use: set[str] = set()
    whole = True
    for folder in folders(root):
        try:
            in_use |= read_manifest(folder).segments.keys()
        except ForeignVersion as error:
            raise CheckpointError(f"{error}, and save to another folder than {root}") from None
        except CheckpointError:
            whole = False  # its segments are unknown, so none can be identified as garbage
    if whole:
        segments.collect_garbage(root, in_use)


def _prune(root: Path, newest: Path, number: int, keep: int) -> None:
    """Keeps the newest and up to keep - 1 readable ones before it.

    What cannot be deleted now is deleted by a later save; the new checkpoint is complete anyway.
    """
    kept = [read_manifest(newest)]
    for folder in folders(root):
        if folder == newest:
            continue
        try:
            manifest = read_manifest(folder)
        except CheckpointError:
            manifest = None
        if manifest is not None and manifest.number < number and len(kept) < keep:
            kept.append(manifest)
            continue
        try:  # renamed first: half deleted, it must not look like a checkpoint
            _discard([folder.rename(folder.with_name(f"{folder.name}.tmp"))])
        except OSError:
            return  # its segments must be kept as long as it is
    with contextlib.suppress(OSError):
        segments.collect_garbage(root, {name for manifest in kept for name in manifest.segments})


def _discard(paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
