"""Blobs on disk: append-only files that several checkpoints share, and the index of what is where.

A save puts new blobs into new segment files and never touches an existing one, so an older checkpoint cannot
be harmed. A segment of which less than half is still referred to is not used again: its live blobs are
rewritten. Hence the bound: the segments of one checkpoint hold at most twice the bytes of its blobs, and all
on disk at most twice the bytes of the blobs of the `keep` kept checkpoints together.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.checkpoint.blobs import Blobs
from r2d2.checkpoint.manifest import CheckpointError, sync_folder

FOLDER = "segments"
SEGMENT_BYTES = 64 << 20  # ours: small enough to compact without stalling a save, large enough for few files
LIVE_SHARE = 0.5  # ours: limits wasted space and extra writes to a factor of 2
INDEX = np.dtype([("key", "<i8"), ("offset", "<i8"), ("size", "<i8"), ("segment", "<i4"), ("crc", "<u4")])

Index = NDArray[Any]  # INDEX [K], one row a blob, keys increasing


@dataclass(frozen=True)
class Plan:
    """What a save has to write: the rows to fill in, and the positions of their blobs."""

    index: dict[str, Index]  # by path in the tree; rows of known blobs are complete
    new: dict[str, NDArray[np.intp]]  # positions to be written
    nbytes: int  # of the blobs to be written


def segment_path(root: Path, segment: int) -> Path:
    return root / FOLDER / f"seg-{segment:08d}.bin"


def plan(root: Path, blobs: Mapping[str, Blobs], known: Mapping[str, Index], *, trusted: bool) -> Plan:
    """Decides which blobs are already on disk.

    With `trusted`, a key in `known` implies its content. Otherwise size and crc are compared as well: a run
    that went back to an older checkpoint reuses old keys for new content.
    """
    index = {path: np.zeros(len(leaf), INDEX) for path, leaf in blobs.items()}
    old: dict[str, NDArray[np.bool_]] = {}
    for path, leaf in blobs.items():
        index[path]["key"] = leaf.keys
        rows = known.get(path, np.zeros(0, INDEX))
        at = np.searchsorted(rows["key"], leaf.keys)
        hit = at < len(rows)
        hit[hit] = rows["key"][at[hit]] == leaf.keys[hit]
        if not trusted:
            for i in np.flatnonzero(hit).tolist():
                row, blob = rows[at[i]], leaf.data[i]
                hit[i] = bool(row["size"] == memoryview(blob).nbytes and row["crc"] == zlib.crc32(blob))
        index[path][hit] = rows[at[hit]]
        old[path] = hit
    unfit = _unfit(root, [index[path][hit] for path, hit in old.items()])
    new = {path: np.flatnonzero(~hit | np.isin(index[path]["segment"], unfit)) for path, hit in old.items()}
    nbytes = sum(memoryview(blobs[path].data[i]).nbytes for path, at in new.items() for i in at.tolist())
    return Plan(index, new, nbytes)


def _unfit(root: Path, live: list[Index]) -> list[int]:
    """Segments that are mostly unreferenced, too short or missing."""
    unfit = []
    for segment, (alive, end) in _by_segment(live).items():
        try:
            size = segment_path(root, segment).stat().st_size
        except FileNotFoundError:
            size = -1
        if size < end or alive < LIVE_SHARE * size:
            unfit.append(segment)
    return unfit


def _by_segment(indices: Iterable[Index]) -> dict[int, tuple[int, int]]:
    """Segment -> (bytes referred to, end of the last blob referred to)."""
    rows = np.concatenate([np.zeros(0, INDEX), *indices])
    numbers, which = np.unique(rows["segment"], return_inverse=True)
    alive, end = np.zeros(len(numbers), np.int64), np.zeros(len(numbers), np.int64)
    np.add.at(alive, which, rows["size"])
    np.maximum.at(end, which, rows["offset"] + rows["size"])
    return {int(n): (int(a), int(e)) for n, a, e in zip(numbers, alive, end, strict=True)}


def write(root: Path, blobs: Mapping[str, Blobs], pending: Plan, created: list[Path]) -> None:
    """Writes the new blobs to new segments, synced to disk, and completes `pending.index`.

    Each new file is added to `created`, so that the caller can clean up. An existing file belongs to another
    save, and is not touched.
    """
    segment = 1 + max((int(path.stem[4:]) for path in (root / FOLDER).glob("seg-*.bin")), default=-1)
    batch: list[Any] = []
    offset = 0
    for path, positions in pending.new.items():
        index, data = pending.index[path], blobs[path].data
        rows = np.zeros(len(positions), INDEX)
        for row, i in enumerate(positions.tolist()):
            blob = data[i]
            size = memoryview(blob).nbytes
            if batch and offset + size > SEGMENT_BYTES:
                _write_segment(segment_path(root, segment), batch, created)
                batch, offset, segment = [], 0, segment + 1
            rows[row] = (index["key"][i], offset, size, segment, zlib.crc32(blob))
            batch.append(blob)
            offset += size
        index[positions] = rows
    if batch:
        _write_segment(segment_path(root, segment), batch, created)
    sync_folder(root / FOLDER)


def _write_segment(path: Path, batch: list[Any], created: list[Path]) -> None:
    with open(path, "xb", buffering=1 << 20) as file:
        created.append(path)
        file.writelines(batch)
        file.flush()
        os.fsync(file.fileno())


def used(index: Mapping[str, Index]) -> dict[str, int]:
    """The segments an index refers to, and the size in bytes that each must have at least."""
    return {segment_path(Path(), n).name: end for n, (_, end) in _by_segment(index.values()).items()}


class OnDemand(Sequence[bytes]):
    """The blobs of an index, each read and verified on access; raises CheckpointError as `read` does."""

    def __init__(self, root: Path, index: Index) -> None:
        self._root, self._index = root, index

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, at: Any) -> Any:
        rows = self._index[at] if isinstance(at, slice) else self._index[at : at + 1]
        found: list[bytes] = [b""] * len(rows)
        for i, blob in read(self._root, rows):
            found[i] = blob
        return found if isinstance(at, slice) else found[0]

    def take(self, at: NDArray[np.integer[Any]]) -> list[bytes]:
        """The blobs at these positions, read in disk order."""
        found: list[bytes] = [b""] * len(at)
        for i, blob in read(self._root, self._index[at]):
            found[i] = blob
        return found


def read(root: Path, index: Index) -> Iterator[tuple[int, bytes]]:
    """Yields (position, blob) in disk order, each verified.

    Raises CheckpointError naming file and key when a blob is damaged.
    """
    for segment in np.unique(index["segment"]):
        path = segment_path(root, segment)
        at = np.flatnonzero(index["segment"] == segment)
        at = at[np.argsort(index["offset"][at], kind="stable")]
        rows = index[at]
        columns = (at.tolist(), rows["key"].tolist(), rows["offset"].tolist(), rows["size"].tolist())
        try:
            with open(path, "rb", buffering=1 << 20) as file:
                position = 0
                for i, key, offset, size, crc in zip(*columns, rows["crc"].tolist(), strict=True):
                    if offset != position:
                        file.seek(offset)
                    blob = file.read(size)
                    position = offset + size
                    if zlib.crc32(blob) != crc or len(blob) != size:
                        what = "is damaged" if len(blob) == size else "is truncated"
                        raise CheckpointError(f"{path} {what}: the blob of key {key} at byte {offset:,}")
                    yield i, blob
        except FileNotFoundError:
            raise CheckpointError(f"{path} is missing: the checkpoint refers to blobs in it") from None
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from error


def collect_garbage(root: Path, in_use: set[str]) -> None:
    """Deletes the segments that no checkpoint refers to."""
    for path in (root / FOLDER).glob("seg-*.bin"):
        if path.name not in in_use:
            path.unlink(missing_ok=True)
