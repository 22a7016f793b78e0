"""Reads checkpoints, whole or in part, and detects anything that is not as written."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.checkpoint import segments
from r2d2.checkpoint.blobs import Blobs
from r2d2.checkpoint.folders import NAME, folders, latest
from r2d2.checkpoint.manifest import (
    ARRAYS,
    DONE,
    INDEX,
    TREE,
    CheckpointError,
    Manifest,
    VerifiedFile,
    open_file,
    read_manifest,
)
from r2d2.checkpoint.trees import Place, decode, subtree


def load(path_or_root: Path) -> dict[Any, Any]:
    """Reads a checkpoint folder, or the newest one of a root, and returns the tree that was saved.

    Raises CheckpointError when it is not exactly what was written; the message names the file, what is wrong
    with it, and the newest other checkpoint that is whole.
    """
    tree: dict[Any, Any] = _with_advice(path_or_root, _read)
    return tree


def load_part(path_or_root: Path, names: Sequence[str], *, lazy: bool = False) -> dict[str, Any]:
    """Reads only what is at these paths of the tree, as "learner/network".

    Everything else may be damaged or missing. With `lazy`, a blob is read on access. Raises CheckpointError as
    `load` does, and for a path that is not in the tree.
    """
    part: dict[str, Any] = _with_advice(path_or_root, lambda path: _read_part(path, names, lazy=lazy))
    return part


def verify(path: Path) -> None:
    """Reads every byte of a checkpoint folder and raises CheckpointError when one is not as written."""
    path = Path(path)
    manifest = read_manifest(path)
    for name in manifest.files:
        VerifiedFile(path, name, manifest).finish()
    for index in read_index(path, manifest).values():
        for _ in segments.read(path.parent, index):
            pass


def read_index(path: Path, manifest: Manifest) -> dict[str, segments.Index]:
    """The locations of a checkpoint's blobs, by their path in the tree."""
    with _as_written(path / INDEX):
        rows = np.frombuffer(VerifiedFile(path, INDEX, manifest).read_all(), segments.INDEX)
        ends = np.cumsum([0, *manifest.blobs.values()]).tolist()
        return {name: rows[a:b] for name, a, b in zip(manifest.blobs, ends[:-1], ends[1:], strict=True)}


def _with_advice(path_or_root: Path, read: Callable[[Path], Any]) -> Any:
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
        return read(path)
    except CheckpointError as error:
        raise CheckpointError(f"{error}. {_advice(path.parent, path)}") from error


def _advice(root: Path, bad: Path | None) -> str:
    for folder in folders(root):
        if bad is not None and folder.resolve() == bad.resolve():
            continue
        try:
            verify(folder)
        except CheckpointError:
            continue
        return f"Another checkpoint is whole: r2d2 resume {root.parent} --checkpoint {folder}"
    return f"No other checkpoint in {root} is whole: start the run again, or restore the folder from a backup"


@contextmanager
def _as_written(file: Path) -> Iterator[None]:
    """Content with the right checksum that this code cannot have written raises CheckpointError too."""
    try:
        yield
    except (CheckpointError, OSError):
        raise
    except Exception as error:  # foreign content may raise anything
        raise CheckpointError(f"{file} is not what r2d2 writes: {type(error).__name__}: {error}") from error


def _read(path: Path) -> dict[Any, Any]:
    manifest = read_manifest(path)
    tree = _read_tree(path, manifest)
    blobs = {name: _read_blobs(path, index) for name, index in read_index(path, manifest).items()}
    with _as_written(path / TREE):
        arrays = VerifiedFile(path, ARRAYS, manifest)

        def read(place: Place) -> NDArray[np.uint8]:
            raw = _room(place, arrays.size)
            arrays.fill(place["offset"], raw.data)
            return raw

        state: dict[Any, Any] = decode(tree, read, blobs)
        arrays.finish()
        if type(state) is not dict:
            raise TypeError(f"a state is a dict, not a {type(state).__name__}")
    return state


def _read_part(path: Path, names: Sequence[str], *, lazy: bool) -> dict[str, Any]:
    manifest = read_manifest(path)
    tree = _read_tree(path, manifest)
    with _as_written(path / TREE):
        parts = {name: subtree(tree, name) for name in names}
        blobs = _LazyBlobs(path, manifest, lazy=lazy)
        with _Arrays(path, manifest) as arrays:
            return {name: decode(part, arrays.read, blobs) for name, part in parts.items()}


def _read_tree(path: Path, manifest: Manifest) -> Any:
    with _as_written(path / TREE):
        return json.loads(VerifiedFile(path, TREE, manifest).read_all())


def _read_blobs(path: Path, index: segments.Index) -> Blobs:
    data: list[Any] = [None] * len(index)
    for i, blob in segments.read(path.parent, index):
        data[i] = blob
    return Blobs(index["key"].astype(np.int64), data)


def _room(place: Place, size: int) -> NDArray[np.uint8]:
    """An array for the bytes at a place of a file of `size` bytes."""
    if not 0 <= place["offset"] <= place["offset"] + place["nbytes"] <= size:
        raise ValueError(f"{place['nbytes']} bytes at {place['offset']} are not within {ARRAYS}")
    return np.empty(place["nbytes"], np.uint8)


class _LazyBlobs(Mapping[str, Blobs]):
    """Reads the blobs of a leaf when the leaf is accessed; with `lazy`, each blob when it is accessed."""

    def __init__(self, path: Path, manifest: Manifest, *, lazy: bool) -> None:
        self._path, self._manifest, self._lazy = path, manifest, lazy

    def __getitem__(self, name: str) -> Blobs:
        index = read_index(self._path, self._manifest)[name]
        if self._lazy:
            return Blobs(index["key"].astype(np.int64), segments.OnDemand(self._path.parent, index))
        return _read_blobs(self._path, index)

    def __iter__(self) -> Iterator[str]:
        return iter(self._manifest.blobs)

    def __len__(self) -> int:
        return len(self._manifest.blobs)


class _Arrays:
    """Single arrays of arrays.bin, each with its checksum."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self._path, self._manifest = path, manifest
        self._whole = False  # whether the whole file has been verified

    def __enter__(self) -> _Arrays:
        self._file = open_file(self._path / ARRAYS)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, place: Place) -> NDArray[np.uint8]:
        raw = _room(place, self._manifest.files[ARRAYS][0])
        if "crc32" not in place and not self._whole:  # written before arrays had one
            VerifiedFile(self._path, ARRAYS, self._manifest).finish()
            self._whole = True
        self._file.seek(place["offset"])
        if self._file.readinto(raw.data) != len(raw):
            raise CheckpointError(f"{self._path / ARRAYS} is truncated")
        if "crc32" in place and zlib.crc32(raw) != place["crc32"]:
            raise CheckpointError(
                f"{self._path / ARRAYS} is damaged: {len(raw):,} bytes at {place['offset']:,}"
            )
        return raw
