"""The files of a dataset: steps in episodes, as plain numpy files that any program can read.

    dataset.json      header: format, environment, columns, counts, source, bytes and sha256 of the files
    episodes.npz      one entry per episode: chunk, row, steps, episode_return, starts, ends
    chunk-00000.npz   every column [rows, ...] of whole entries, concatenated

An entry of L steps is L + 1 rows; `r2d2/types.py` describes how they are aligned. A dataset is written once and
atomically. `docs/datasets.md` is the reference.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from r2d2.checkpoint.manifest import sync_folder, write_file
from r2d2.types import begins_episode

FORMAT = "r2d2-dataset"
VERSION = 1  # increment when older datasets can no longer be read
HEAD, INDEX = "dataset.json", "episodes.npz"
CHUNK = 32 << 20  # uncompressed bytes after which a chunk is closed; ours: what a reader holds at a time

Episode = Mapping[str, NDArray[Any]]


class DatasetError(RuntimeError):
    """A dataset could not be written, or is not as written; the message names the file and the remedy."""


class Source(Protocol):
    """Episodes that can be read: a `Dataset`, or those of another format."""

    @property
    def path(self) -> Path: ...
    @property
    def head(self) -> dict[str, Any]:
        """As dataset.json: env, num_actions, columns, episodes, steps, source."""

    @property
    def checksum(self) -> str:
        """Names the content."""

    @property
    def index(self) -> dict[str, NDArray[Any]]:
        """At least `steps` [E]: the actions of each episode."""

    def read(self, *, first: int = 0) -> Iterator[dict[str, NDArray[Any]]]:
        """See `Dataset.read`."""


@dataclass(frozen=True)
class Dataset:
    """An opened dataset: `head` is dataset.json, `index` [E] are the entries of episodes.npz.

    `chunk` and `row` locate an episode, `steps` is its number of actions, `episode_return` the sum of its rewards.
    `starts` says that its first row is the episode's first observation, `ends` that its last one is the final
    observation: they are false only where the source no longer had that part.
    """

    path: Path
    head: dict[str, Any]
    checksum: str  # sha256 that names the content: of dataset.json, which has those of the other files
    index: dict[str, NDArray[Any]]

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Which episodes [E] are complete."""
        return self.index["starts"] & self.index["ends"]

    @property
    def nbytes(self) -> int:
        """Bytes of all files except dataset.json itself."""
        return sum(file["bytes"] for file in self.head["files"].values())

    def read(self, *, first: int = 0) -> Iterator[dict[str, NDArray[Any]]]:
        """Columns [L + 1, ...] of each episode from number `first` on, in order; the caller owns the arrays.

        Holds one chunk at a time. Raises DatasetError naming the first file that is not as written.
        """
        chunk: dict[str, NDArray[Any]] = {}
        held = -1
        chunks, rows, steps = (self.index[name].tolist() for name in ("chunk", "row", "steps"))
        for number, row, length in zip(chunks[first:], rows[first:], steps[first:], strict=True):
            if number != held:
                chunk.clear()  # two chunks are never held at once
                chunk, held = _load(self.path, chunk_name(number), self.head), number
            yield {name: column[row : row + length + 1].copy() for name, column in chunk.items()}

    def verify(self) -> None:
        """Reads every byte and raises DatasetError naming the first file that is not as written."""
        for name in self.head["files"]:
            _read_bytes(self.path, name, self.head)


def chunk_name(number: int) -> str:
    """The file of chunk `number`."""
    return f"chunk-{number:05d}.npz"


def open_dataset(path: Path) -> Dataset:
    """The dataset in a folder. Raises DatasetError when there is none, or a damaged or foreign one."""
    path = Path(path)
    try:
        head = json.loads((path / HEAD).read_bytes())
        written = (head.pop("format"), head.pop("version"))
        checksum = head.pop("checksum")
    except FileNotFoundError:
        raise DatasetError(
            f"{path} holds no dataset: there is no {HEAD} in it; "
            f"`r2d2 replay export RUN_DIR {path}` makes one"
        ) from None
    except (ValueError, KeyError, AttributeError) as error:
        raise DatasetError(f"{path / HEAD} is damaged ({error!r}): copy the dataset again") from None
    if written != (FORMAT, VERSION):
        raise DatasetError(
            f"{path} is of another version: it is {written[0]} version {written[1]}, this code reads "
            f"{FORMAT} version {VERSION}; use the release of r2d2 that wrote it"
        )
    if checksum != _checksum(head):
        raise DatasetError(
            f"{path / HEAD} is damaged: its checksum does not match its content; copy the dataset again"
        )
    return Dataset(path, head, checksum, _load(path, INDEX, head))


def write_dataset(path: Path, episodes: Iterable[Episode], head: Mapping[str, Any]) -> Dataset:
    """Writes episodes as a new dataset; `head` describes them (see `r2d2.dataset.dataset.Spec.head`).

    `episodes` is read once, one chunk is held at a time. `head["columns"]` names the columns with shape and
    dtype. Raises ValueError for an existing path or an episode that does not match, DatasetError when the disk
    fails; then nothing is left behind.
    """
    path = Path(path)
    if path.exists():
        raise ValueError(f"{path} exists: a dataset never replaces anything, name another folder")
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)  # left by a dead process with our process id
    try:
        partial.mkdir(parents=True)
        _write(partial, episodes, head)
        sync_folder(partial)
        partial.rename(path)
        sync_folder(path.parent)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise DatasetError(
            f"{path} could not be written: {error}. Nothing is left of it: make room and export again"
        ) from error
    return open_dataset(path)


def _write(folder: Path, episodes: Iterable[Episode], head: Mapping[str, Any]) -> None:
    files: dict[str, dict[str, Any]] = {}
    entries: list[tuple[Any, ...]] = []
    for number, chunk in enumerate(_chunks(episodes, head["columns"])):
        row = 0
        for episode in chunk:
            entries.append((number, row, *_facts(episode)))
            row += len(episode["action"])
        columns = {name: np.concatenate([episode[name] for episode in chunk]) for name in head["columns"]}
        _save(folder, chunk_name(number), columns, files)
    if not entries:
        raise ValueError("there is no episode to write: ask for more, or wait until the replay has some")
    names = ("chunk", "row", "steps", "episode_return", "starts", "ends")
    index = {name: np.array(values) for name, values in zip(names, zip(*entries, strict=True), strict=True)}
    _save(folder, INDEX, index, files)
    counts = {"episodes": len(entries), "steps": int(index["steps"].sum())}
    body = {**head, **counts, "files": files}
    whole = {"format": FORMAT, "version": VERSION, **body, "checksum": _checksum(body)}
    write_file(folder / HEAD, [json.dumps(whole, indent=2).encode() + b"\n"])


def _facts(episode: Episode) -> tuple[int, float, bool, bool]:
    """Steps, return, and whether the episode's beginning and end are there."""
    steps = len(episode["action"]) - 1
    ends = episode["terminated"][steps - 1] | episode["truncated"][steps - 1]
    total = float(episode["reward"][:steps].sum(dtype=np.float64))
    return steps, total, bool(begins_episode(episode["previous_action"])[0]), bool(ends)


def _chunks(episodes: Iterable[Episode], columns: Mapping[str, Any]) -> Iterator[list[Episode]]:
    """Groups episodes into chunks."""
    chunk: list[Episode] = []
    size = 0
    for episode in episodes:
        _check(episode, columns)
        chunk.append(episode)
        size += sum(episode[name].nbytes for name in columns)
        if size >= CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _check(episode: Episode, columns: Mapping[str, Any]) -> None:
    """Raise ValueError for an episode that does not match the columns."""
    rows = len(episode["action"]) if "action" in episode else 0
    if rows < 2:
        raise ValueError(f"an episode must have at least 2 rows (1 action, final observation), got {rows}")
    for name, column in columns.items():
        wanted = ((rows, *column["shape"]), column["dtype"])
        got = (episode[name].shape, episode[name].dtype.name) if name in episode else None
        if got != wanted:
            raise ValueError(f"column {name} of an episode must be {wanted}, got {got}: convert it first")


def _save(folder: Path, name: str, arrays: Mapping[str, Any], files: dict[str, dict[str, Any]]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    size, digest = write_file(folder / name, [buffer.getbuffer()])
    files[name] = {"bytes": size, "sha256": digest}


def _load(folder: Path, name: str, head: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    with np.load(io.BytesIO(_read_bytes(folder, name, head)), allow_pickle=False) as arrays:
        return dict(arrays)


def _read_bytes(folder: Path, name: str, head: Mapping[str, Any]) -> bytes:
    """A file's content, verified."""
    path, listed = folder / name, head["files"][name]
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing: part of the dataset was deleted; copy it again") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
    if len(content) != listed["bytes"]:
        raise DatasetError(
            f"{path} has {len(content):,} bytes instead of {listed['bytes']:,}: copy the dataset again"
        )
    if hashlib.sha256(content).hexdigest() != listed["sha256"]:
        raise DatasetError(f"{path} is damaged: its sha256 is not the one in {HEAD}; copy the dataset again")
    return content


def _checksum(head: Mapping[str, Any]) -> str:
    """sha256 of everything in dataset.json except format, version and itself."""
    return hashlib.sha256(json.dumps(head, sort_keys=True).encode()).hexdigest()
