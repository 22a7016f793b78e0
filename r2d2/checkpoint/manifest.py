"""The `done` file of a checkpoint folder: what the folder must hold, byte for byte.

It is written last, so a folder without it is incomplete. Its second line is the sha256 of its first, because
a flipped bit in the list of checksums must be detected too.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from r2d2.errors import UserError

FORMAT = "r2d2-checkpoint"
VERSION = 1  # increment when older checkpoints can no longer be read
DONE = "done"
TREE, ARRAYS, INDEX = "tree.json", "arrays.bin", "index.bin"
FILES = {TREE, ARRAYS, INDEX}
CHUNK = 16 << 20  # bytes read at a time when a file is hashed


class CheckpointError(UserError, RuntimeError):
    """A checkpoint could not be written, or is not as written; the message names the file and the remedy."""


class ForeignVersion(CheckpointError):
    """An intact checkpoint of another version of this code, which must not be touched."""


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint consists of."""

    number: int
    files: dict[str, tuple[int, str]]  # file name -> bytes, sha256
    blobs: dict[str, int]  # path in the tree -> number of blobs, in the order of index.bin
    segments: dict[str, int]  # file name -> bytes that must be there


def write_file(path: Path, chunks: Iterable[bytes | memoryview]) -> tuple[int, str]:
    """Writes a new file through to the disk; returns its size in bytes and its sha256."""
    digest, size = hashlib.sha256(), 0
    with open(path, "xb", buffering=0) as file:
        for chunk in chunks:
            digest.update(chunk)
            view = memoryview(chunk).cast("B")
            size += len(view)
            while len(view):  # a raw write may be partial
                view = view[file.write(view) :]
        os.fsync(file.fileno())
    return size, digest.hexdigest()


def sync_folder(path: Path) -> None:
    """Makes the directory entries of a folder survive a power failure."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes `done`, which makes the folder a complete checkpoint."""
    line = json.dumps({"format": FORMAT, "version": VERSION} | asdict(manifest)).encode()
    write_file(folder / DONE, [line, b"\n", hashlib.sha256(line).hexdigest().encode(), b"\n"])


def read_manifest(folder: Path) -> Manifest:
    """Reads and verifies `done`. Raises CheckpointError when it is missing, damaged or of another version."""
    path = folder / DONE
    line, _, rest = read_bytes(path).partition(b"\n")
    if hashlib.sha256(line).hexdigest().encode() + b"\n" != rest:
        raise CheckpointError(f"{path} is damaged: its checksum does not match its content")
    try:
        fields = dict(json.loads(line))
        written = (fields.pop("format", None), fields.pop("version", None))
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is not what r2d2 writes: {error}") from None
    if written != (FORMAT, VERSION):
        raise ForeignVersion(
            f"{path} is of another version: it is {written[0]} version {written[1]}, this code reads "
            f"{FORMAT} version {VERSION}; use the release of r2d2 that wrote it"
        )
    try:
        return _manifest(**fields)
    except (AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not what r2d2 writes: {error}") from None


def _manifest(number: int, files: Any, blobs: Any, segments: Any) -> Manifest:
    found = Manifest(
        number, {name: (size, digest) for name, (size, digest) in files.items()}, dict(blobs), dict(segments)
    )
    sizes = [size for size, _ in found.files.values()]
    if not all(
        type(n) is int and n >= 0 for n in (number, *sizes, *found.blobs.values(), *found.segments.values())
    ):
        raise ValueError("a number is missing, or is none")
    if not found.files.keys() >= FILES:
        raise ValueError(f"it names the files {sorted(found.files)} instead of {sorted(FILES)}")
    return found


def read_bytes(path: Path) -> bytes:
    """Reads a small file. Raises CheckpointError when it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        why = "part of the checkpoint was deleted" if path.parent.is_dir() else "there is no such folder"
        raise CheckpointError(f"{path} is missing: {why}") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def open_file(path: Path) -> FileIO:
    """Opens a checkpoint's file for unbuffered reading. Raises CheckpointError when it cannot be opened."""
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: part of the checkpoint was deleted") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


class VerifiedFile:
    """Reads a file once from start to end and compares size and sha256 with the manifest on the way.

    What `fill` delivered is verified only once `finish` has returned.
    """

    def __init__(self, folder: Path, name: str, manifest: Manifest) -> None:
        self.path = folder / name
        self.size, self.digest = manifest.files[name]
        self._hash, self._position = hashlib.sha256(), 0
        self._file = open_file(self.path)
        found = os.fstat(self._file.fileno()).st_size
        if found != self.size:
            self._file.close()
            what = "truncated" if found < self.size else "longer than written"
            raise CheckpointError(f"{self.path} is {what}: {found:,} bytes instead of {self.size:,}")

    def fill(self, offset: int, buffer: memoryview) -> None:
        """Fills `buffer` from `offset`, which is never before the end of the last one."""
        if offset > self._position:
            self._read(memoryview(bytearray(offset - self._position)))
        self._read(buffer)

    def finish(self) -> None:
        """Reads the rest and raises CheckpointError when the content is not what was written."""
        with self._file:
            while self._position < self.size:
                self._read(memoryview(bytearray(min(CHUNK, self.size - self._position))))
        if self._hash.hexdigest() != self.digest:
            raise CheckpointError(f"{self.path} is damaged: its sha256 is not the one in {DONE}")

    def read_all(self) -> bytes:
        """The whole content, verified."""
        content = bytearray(self.size)
        self.fill(0, memoryview(content))
        self.finish()
        return bytes(content)

    def _read(self, buffer: memoryview) -> None:
        done = 0
        while done < len(buffer):
            try:
                count = self._file.readinto(buffer[done:])
            except OSError as error:
                raise CheckpointError(f"{self.path} cannot be read: {error}") from error
            if not count:
                raise CheckpointError(f"{self.path} is truncated: it ends at {self._position + done:,} bytes")
            done += count
        self._hash.update(buffer)
        self._position += done
