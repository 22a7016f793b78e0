"""Laws of crafted and foreign checkpoints: right checksums, wrong content, a CheckpointError with the field."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from checkpoint_cases import changed, leaves
from run_cases import new_run, tiny

from r2d2.checkpoint import checkpoint
from r2d2.checkpoint.checkpoint import CheckpointError
from r2d2.checkpoint.manifest import Manifest, read_manifest, write_file, write_manifest
from r2d2.runtime.local import LocalRun

CONFIG = tiny(run__steps=300, run__checkpoint_period=10_000, run__evaluate_period=200)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The only checkpoint of a run."""
    folder: Path = tmp_path_factory.mktemp("saved")
    new_run(CONFIG, folder).train()
    return folder / "checkpoints" / "ckpt-00000001"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> LocalRun:
    return new_run(CONFIG, tmp_path_factory.mktemp("new"))


# Where a field may be absent or of any kind: configs and records of an older version have fewer fields.
FREE = {("config",), ("tracker", "sinks"), ("meter", "sums"), ("meter", "counts"), ("recent",)}
HYPER = ("learner", "optimizer", "param_groups")  # the config's numbers hold


def free(path: tuple[Any, ...], what: str) -> bool:
    if path[:3] == HYPER and path[-1] != "params" and len(path) > 3:
        return True
    if what == "'deleted'":
        return any(path[: len(part)] == part and len(path) > len(part) for part in FREE)
    return False


def test_each_field_that_is_missing_or_wrong_is_named(
    saved: Path, run: LocalRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, accepted = checkpoint.load(saved), []
    for path in leaves(tree):
        for what, other in changed(tree, path):
            monkeypatch.setattr(checkpoint, "load", lambda _, other=other: other)
            try:
                run.load(saved)
                message = ""
            except CheckpointError as error:
                message = str(error)
            except ValueError as error:  # the config is another run's: the remedy is to put it back
                message = f"{error}"
                if path[0] == "config" and ".".join(map(str, path[1:3])) in message:
                    continue
            if not free(path, what) and not (str(saved) in message and "--checkpoint" in message):
                accepted.append((path, what, message))
    assert accepted == []


def test_weights_under_the_hash_of_others_are_refused(
    saved: Path, run: LocalRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = checkpoint.load(saved)
    first = next(iter(tree["learner"]["network"].values()))
    first.view(-1)[0] += 1
    monkeypatch.setattr(checkpoint, "load", lambda _: tree)
    with pytest.raises(CheckpointError, match="parameter_hash is"):
        run.load(saved)


def rewritten(saved: Path, folder: Path, name: str, content: bytes) -> Path:
    """A copy of the checkpoint with other content of one file, under the right checksums."""
    path = folder / saved.name
    path.mkdir(parents=True)
    (folder / "segments").symlink_to(saved.parent / "segments")
    manifest = read_manifest(saved)
    files = {}
    for file in manifest.files:
        data = content if file == name else (saved / file).read_bytes()
        files[file] = write_file(path / file, [data])
    write_manifest(path, Manifest(manifest.number, files, manifest.blobs, manifest.segments))
    return path


TREES = [
    b"", b"[]", b"7", b"{}", b'{"dict": 7}', b'{"dict": [[1]]}', b'{"dict": [[{"x": 1}, 2]]}', b'{"eval": "1"}',
    b'{"dict": [["a", {"blobs": "/no"}]]}', b'{"dict": [["a", {"int": "x"}]]}', b"\xff\xfe", b"[" * 100_000,
    b'{"dict": [["a", {"array": {"offset": 0, "nbytes": 8, "dtype": "\'|O\'", "shape": [1], "fortran": false}}]]}',
    b'{"dict": [["a", {"array": {"offset": -8, "nbytes": 8, "dtype": "\'<i8\'", "shape": [1]}}]]}',
    b'{"dict": [["a", {"array": {"offset": 0, "nbytes": 1e99, "dtype": "\'<i8\'", "shape": [1]}}]]}',
    b'{"dict": [["a", {"array": {"offset": 0, "nbytes": 99999999999, "dtype": "\'<i8\'", "shape": [1]}}]]}',
    b'{"dict": [["a", {"array": {"offset": 0, "nbytes": 0, "dtype": "\'<i8\'", "shape": [9999999999999]}}]]}',
    b'{"dict": [["a", {"tensor": {"offset": 0, "nbytes": 8, "dtype": "load", "shape": [1]}}]]}',
    b'{"dict": [["a", {"scalar": {"dtype": "__import__(\'os\')", "hex": ""}}]]}',
]  # fmt: skip


@pytest.mark.parametrize("content", TREES, ids=lambda content: repr(content[:60]))
def test_a_tree_that_was_never_written_is_refused_whole_and_in_part(
    content: bytes, saved: Path, tmp_path: Path
) -> None:
    path = rewritten(saved, tmp_path, "tree.json", content)
    for read in (checkpoint.load, lambda path: checkpoint.load_part(path, ["a"])):
        with pytest.raises(CheckpointError, match=r"tree\.json is not what r2d2 writes"):
            read(path)


def test_an_index_and_a_manifest_that_were_never_written_are_refused(saved: Path, tmp_path: Path) -> None:
    for i, content in enumerate((b"123", b"\xff" * 28)):
        with pytest.raises(CheckpointError):
            checkpoint.load(rewritten(saved, tmp_path / str(i), "index.bin", content))
    done = json.loads((saved / "done").read_bytes().partition(b"\n")[0])
    for i, change in enumerate(
        ({"files": 7}, {"files": {}}, {"number": "x"}, {"blobs": {"a": -1}}, {"segments": None}, {"more": 1})
    ):
        path = tmp_path / f"done{i}" / saved.name
        path.mkdir(parents=True)
        line = json.dumps(done | change).encode()
        (path / "done").write_bytes(line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n")
        with pytest.raises(CheckpointError, match="done is not what r2d2 writes"):
            checkpoint.load(path)
