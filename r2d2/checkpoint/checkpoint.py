"""Saves the whole state of a run as a folder that is complete or absent, and refuses it when a bit changed.

    root/latest                    the name of the newest complete checkpoint
    root/ckpt-00000012/            tree.json, arrays.bin, index.bin and, written last, `done`
    root/segments/seg-00000003.bin blobs, each written once and shared by the checkpoints

Killed at any moment, a save leaves the previous checkpoint usable. One process saves into a root at a time.
To go back to an older checkpoint, load it and save on: the checkpoints with the same or a higher number then
belong to a future that was given up, and are deleted once the new one is complete. Tensors come back on the
CPU, blobs as `bytes`.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from r2d2.checkpoint import segments
from r2d2.checkpoint.blobs import Blobs
from r2d2.checkpoint.manifest import (
    DONE,
    CheckpointError,
    ForeignVersion,
    Manifest,
    VerifiedFile,
    read_bytes,
    read_manifest,
    sync_folder,
    write_file,
    write_manifest,
)
from r2d2.checkpoint.trees import Encoded, decode, encode, pieces

__all__ = ["CheckpointError", "latest", "load", "save", "verify"]

NAME = re.compile(r"ckpt-(\d{8,})(-\d+)?")  # the suffix tells a second checkpoint of the same number
TREE, ARRAYS, INDEX, LATEST = "tree.json", "arrays.bin", "index.bin", "latest"
MARGIN = 1 << 20  # bytes asked for beyond the known sizes: folders and `done`; ours


def save(
    root: Path, tree: Mapping[Any, Any], *, number: int, keep: int = 2, parent: Path | None = None
) -> Path:
    """Writes checkpoint `number` and returns its folder; the last `keep` stay.

    `parent` is the checkpoint this state grew from: what the run last loaded or saved, the newest or not. Its
    blobs then count as written and are not looked at. Without it every blob is compared (size, crc) with the
    newest checkpoint.

    Raises CheckpointError when it cannot be written (the older ones are untouched), TypeError when the tree
    holds something that would not come back exactly.
    """
    if number < 0 or keep < 1:
        raise ValueError(f"number must be >= 0 and keep >= 1, got number={number} and keep={keep}")
    root, encoded = Path(root), encode(tree)
    needed = encoded.nbytes + MARGIN
    created = [root / f"ckpt-{number:08d}.tmp", root / f"{LATEST}.tmp"]
    try:
        (root / segments.FOLDER).mkdir(parents=True, exist_ok=True)
        _clear(root)
        known, trusted = _known(root, parent)
        pending = segments.plan(root, encoded.blobs, known, trusted=trusted)
        needed += pending.nbytes + sum(index.nbytes for index in pending.index.values())
        if (free := shutil.disk_usage(root).free) < needed:
            raise OSError(f"only {free:,} bytes are free")
        folder = _write(root, number, encoded, pending, created)
    except BaseException as error:
        _discard(created)
        if not isinstance(error, OSError):
            raise
        free = shutil.disk_usage(root).free if root.is_dir() else 0
        raise CheckpointError(
            f"checkpoint {number} could not be written to {root}: {error}. It needs {needed:,} bytes, "
            f"{free:,} are free. The older checkpoints are untouched: make room, then "
            f"`r2d2 resume {root.parent}` goes on from the newest"
        ) from error
    _prune(root, folder, number, keep)
    return folder


def _write(root: Path, number: int, encoded: Encoded, pending: segments.Plan, created: list[Path]) -> Path:
    """Everything that can fail comes before the two renames that make the checkpoint count."""
    tmp = created[0]
    tmp.mkdir()
    segments.write(root, encoded.blobs, pending, created)
    files = {
        TREE: write_file(tmp / TREE, [json.dumps(encoded.tree, allow_nan=False).encode()]),
        ARRAYS: write_file(tmp / ARRAYS, _array_bytes(encoded)),
        INDEX: write_file(tmp / INDEX, [index.tobytes() for index in pending.index.values()]),
    }
    counts = {path: len(index) for path, index in pending.index.items()}
    write_manifest(tmp, Manifest(number, files, counts, segments.used(pending.index)))
    sync_folder(tmp)
    names = (f"ckpt-{number:08d}{suffix}" for suffix in ["", *(f"-{i}" for i in range(1, 1000))])
    folder = next(root / name for name in names if not (root / name).exists())
    write_file(root / f"{LATEST}.tmp", [folder.name.encode() + b"\n"])
    created.append(folder)
    tmp.rename(folder)
    sync_folder(root)
    (root / f"{LATEST}.tmp").replace(root / LATEST)
    created.clear()  # from here on the new checkpoint is the newest
    sync_folder(root)
    return folder


def _array_bytes(encoded: Encoded) -> Iterator[bytes | memoryview]:
    position = 0
    for offset, value in encoded.arrays:
        yield bytes(offset - position)
        position = offset
        for piece in pieces(value):
            position += len(piece)
            yield piece


def _known(root: Path, parent: Path | None) -> tuple[dict[str, segments.Index], bool]:
    """What lies on disk already, and whether a key alone may stand for its content."""
    try:
        if parent is not None and Path(parent).resolve().parent == root.resolve():
            return _read_index(Path(parent), read_manifest(Path(parent))), True
        newest = latest(root)
        return ({} if newest is None else _read_index(newest, read_manifest(newest))), False
    except CheckpointError:
        return {}, False  # damaged: refer to nothing in it, write every blob anew


def _clear(root: Path) -> None:
    """Removes what an interrupted save left behind. Refuses a root that another version of this code uses."""
    _discard([*root.glob("ckpt-*.tmp"), root / f"{LATEST}.tmp"])
    in_use: set[str] = set()
    whole = True
    for folder in _folders(root):
        try:
            in_use |= read_manifest(folder).segments.keys()
        except ForeignVersion as error:
            raise CheckpointError(f"{error}, and save to another folder than {root}") from None
        except CheckpointError:
            whole = False  # its segments are unknown, so none can be told to be garbage
    if whole:
        segments.collect_garbage(root, in_use)


def _prune(root: Path, newest: Path, number: int, keep: int) -> None:
    """Keeps the newest and up to keep - 1 readable ones before it.

    What cannot be deleted now, a later save will delete: the new checkpoint is complete all the same.
    """
    kept = [read_manifest(newest)]
    for folder in _folders(root):
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
            return  # its segments must stay as long as it does
    with contextlib.suppress(OSError):
        segments.collect_garbage(root, {name for manifest in kept for name in manifest.segments})


def _discard(paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _folders(root: Path) -> list[Path]:
    """The finished checkpoint folders, highest number first."""
    found = [(int(match[1]), path) for path in root.glob("ckpt-*") if (match := NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found, reverse=True)]


def latest(root: Path) -> Path | None:
    """The folder of the newest complete checkpoint, None when there is none yet.

    Raises CheckpointError when `latest` names a folder that is not there: nothing falls back in silence.
    """
    root = Path(root)
    pointer = root / LATEST
    if not pointer.exists():  # nothing saved yet, or killed within the very first save
        return next((folder for folder in _folders(root) if (folder / DONE).exists()), None)
    name = read_bytes(pointer).decode(errors="replace").strip()
    if not NAME.fullmatch(name) or not (root / name).is_dir():
        raise CheckpointError(f"{pointer} is damaged: it names {name!r}, which is no checkpoint in {root}")
    return root / name


def load(path_or_root: Path) -> dict[Any, Any]:
    """Reads a checkpoint folder, or the newest one of a root, and returns the tree that was saved.

    Raises CheckpointError when it is not exactly what was written; the message names the file, what is wrong
    with it, and the newest other checkpoint that is whole.
    """
    path = Path(path_or_root)
    if not NAME.fullmatch(path.name) and not (path / DONE).exists():
        root = path
        try:
            newest = latest(root)
        except CheckpointError as error:
            raise CheckpointError(f"{error}. {_advice(root, None)}") from None
        if newest is None:
            raise CheckpointError(f"no complete checkpoint in {root}: check the path, or start a new run")
        path = newest
    try:
        tree = _read(path)
    except CheckpointError as error:
        raise CheckpointError(f"{error}. {_advice(path.parent, path)}") from error
    return tree


def verify(path: Path) -> None:
    """Reads every byte of a checkpoint folder and raises CheckpointError when one is not as written."""
    path = Path(path)
    manifest = read_manifest(path)
    for name in manifest.files:
        VerifiedFile(path, name, manifest).finish()
    for index in _read_index(path, manifest).values():
        for _ in segments.read(path.parent, index):
            pass


def _advice(root: Path, bad: Path | None) -> str:
    for folder in _folders(root):
        if bad is not None and folder.resolve() == bad.resolve():
            continue
        try:
            verify(folder)
        except CheckpointError:
            continue
        return f"Another checkpoint is whole: r2d2 resume {root.parent} --checkpoint {folder}"
    return f"No other checkpoint in {root} is whole: start the run again, or restore the folder from a backup"


def _read_index(path: Path, manifest: Manifest) -> dict[str, segments.Index]:
    rows = np.frombuffer(VerifiedFile(path, INDEX, manifest).read_all(), segments.INDEX)
    ends = np.cumsum([0, *manifest.blobs.values()]).tolist()
    return {name: rows[a:b] for name, a, b in zip(manifest.blobs, ends[:-1], ends[1:], strict=True)}


def _read(path: Path) -> dict[Any, Any]:
    manifest = read_manifest(path)
    tree = json.loads(VerifiedFile(path, TREE, manifest).read_all())
    blobs: dict[str, Blobs] = {}
    for name, index in _read_index(path, manifest).items():
        data: list[Any] = [None] * len(index)
        for i, blob in segments.read(path.parent, index):
            data[i] = blob
        blobs[name] = Blobs(index["key"].astype(np.int64), data)
    arrays = VerifiedFile(path, ARRAYS, manifest)
    state: dict[Any, Any] = decode(tree, arrays.fill, blobs)
    arrays.finish()
    return state
