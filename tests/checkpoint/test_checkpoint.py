"""Laws of `r2d2.checkpoint.checkpoint`: what is kept, blobs written once, refusal of any damage."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_cases import SOURCE, STATE, blobs, flip, same
from hypothesis import given, settings
from hypothesis import strategies as st

from r2d2.checkpoint import manifest, segments
from r2d2.checkpoint.blobs import Blobs
from r2d2.checkpoint.checkpoint import CheckpointError, latest, load, load_part, save, verify
from r2d2.checkpoint.manifest import read_manifest

# --- keeping ------------------------------------------------------------------------------------------------


def test_the_last_keep_stay_and_latest_names_the_newest(tmp_path: Path) -> None:
    assert latest(tmp_path) is None
    for number in range(5):
        newest = save(tmp_path, {"n": number}, number=number, keep=3)
    assert latest(tmp_path) == newest == tmp_path / "ckpt-00000004"
    assert [load(path)["n"] for path in sorted(tmp_path.glob("ckpt-*"))] == [2, 3, 4]


def test_the_same_number_again_replaces_it(tmp_path: Path) -> None:
    save(tmp_path, {"n": "old"}, number=7)
    save(tmp_path, {"n": "new"}, number=7)
    assert load(tmp_path) == {"n": "new"}
    assert len(list(tmp_path.glob("ckpt-*"))) == 1


def test_bad_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep=0"):
        save(tmp_path, {}, number=1, keep=0)
    with pytest.raises(ValueError, match="increasing, got 1 after 2"):
        Blobs(np.array([2, 1]), [b"", b""])
    with pytest.raises(CheckpointError, match="no complete checkpoint"):
        load(tmp_path)


# --- blobs --------------------------------------------------------------------------------------------------


def segment_bytes(root: Path) -> int:
    return sum(path.stat().st_size for path in (root / "segments").iterdir())


def test_each_blob_is_written_once(tmp_path: Path) -> None:
    parent = save(tmp_path, {"a": blobs(range(50)), "b": [blobs(range(20), salt=1)]}, number=1)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "segments").iterdir()}
    tree = {"a": blobs(range(10, 60)), "b": [blobs(range(20), salt=1)]}
    save(tmp_path, tree, number=2, parent=parent)
    assert same(load(tmp_path), tree)
    added = [path for path in (tmp_path / "segments").iterdir() if path not in before]
    assert sum(path.stat().st_size for path in added) == sum(len(b) for b in blobs(range(50, 60)).data)
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())


def test_a_save_that_knows_its_parent_reads_new_blobs_only(tmp_path: Path) -> None:
    read: set[int] = set()

    class Counting(list[Any]):
        def __getitem__(self, i: Any) -> Any:
            read.add(int(i))
            return super().__getitem__(i)

    parent = save(tmp_path, {"a": blobs(range(30))}, number=1)
    leaf = blobs(range(5, 35))
    save(tmp_path, {"a": Blobs(leaf.keys, Counting(leaf.data))}, number=2, parent=parent)
    assert read == set(range(25, 30))
    assert same(load(tmp_path)["a"], leaf)


@pytest.mark.parametrize("with_parent", [True, False])
def test_a_run_that_went_back_may_give_keys_to_other_content(tmp_path: Path, with_parent: bool) -> None:
    old = save(tmp_path, {"a": blobs(range(40))}, number=1, keep=9)
    save(tmp_path, {"a": blobs(range(80))}, number=2, parent=old, keep=9)
    load(old)
    other = blobs(range(40, 90), salt=5)  # keys 40 to 79 again, of the same sizes
    mixed = Blobs(np.arange(90), [*blobs(range(40)).data, *other.data])
    save(tmp_path, {"a": mixed}, number=2, parent=old if with_parent else None, keep=9)
    assert same(load(tmp_path)["a"], mixed)
    assert same(load(old)["a"], blobs(range(40)))  # the common past stays, the future that was given up goes
    assert len(list(tmp_path.glob("ckpt-*"))) == 2


def test_blobs_of_a_parent_elsewhere_or_damaged_are_written_anew(tmp_path: Path) -> None:
    elsewhere = save(tmp_path / "one", {"a": blobs(range(9))}, number=1)
    here = save(tmp_path / "two", {"a": blobs(range(9))}, number=2, parent=elsewhere)
    flip(here / "done")
    save(tmp_path / "two", {"a": blobs(range(9))}, number=3, parent=here)
    shutil.rmtree(tmp_path / "one")
    assert same(load(tmp_path / "two")["a"], blobs(range(9)))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 40), st.booleans()), min_size=1, max_size=9))
@settings(max_examples=15, deadline=None)
def test_segments_never_hold_more_than_twice_what_the_kept_checkpoints_need(
    tmp_path_factory: pytest.TempPathFactory, saves: list[tuple[int, int, bool]]
) -> None:
    root, live = tmp_path_factory.mktemp("root"), []
    parent = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SEGMENT_BYTES", 700)  # several segments a save
        for number, (start, count, with_parent) in enumerate(saves):
            leaf = blobs(range(start, start + count))
            live.append(sum(map(len, leaf.data)))
            parent = save(root, {"a": leaf}, number=number, parent=parent if with_parent else None)
            assert segment_bytes(root) <= 2 * sum(live[-2:])
            for folder in root.glob("ckpt-*"):
                verify(folder)
            assert same(load(root)["a"], leaf)
    shutil.rmtree(root)


def test_a_segment_that_is_mostly_dead_is_written_anew(tmp_path: Path) -> None:
    parent = save(tmp_path, {"a": blobs(range(100))}, number=0, keep=1)
    for number, stride in enumerate([2, 4, 8, 16, 32], start=1):  # as a reservoir thins out
        every = blobs(range(100))
        leaf = Blobs(every.keys[::stride], every.data[::stride])
        parent = save(tmp_path, {"a": leaf}, number=number, keep=1, parent=parent)
        assert segment_bytes(tmp_path) <= 2 * sum(map(len, leaf.data))
        assert same(load(tmp_path)["a"], leaf)


def test_segments_that_no_kept_checkpoint_needs_are_deleted(tmp_path: Path) -> None:
    for number in range(6):
        save(tmp_path, {"a": blobs(range(number * 10, number * 10 + 10))}, number=number)
    assert len(list((tmp_path / "segments").iterdir())) == 2


# --- damage -----------------------------------------------------------------------------------------------


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """An older and a newer checkpoint with nothing in common on disk."""
    root = tmp_path / "run" / "checkpoints"
    older = save(root, STATE, number=1)
    newer = save(root, STATE | {"blobs": blobs(range(20, 30))}, number=2)
    return older, newer


@pytest.mark.parametrize("name", ["tree.json", "arrays.bin", "index.bin", "done", "segment"])
@pytest.mark.parametrize("harm", ["flip", "truncate", "lengthen", "delete"])
def test_damage_is_refused_by_name_and_the_previous_checkpoint_offered(
    two: tuple[Path, Path], name: str, harm: str
) -> None:
    older, newer = two
    segment = next(iter(read_manifest(newer).segments))
    path = newer.parent / "segments" / segment if name == "segment" else newer / name
    match harm:
        case "flip":
            flip(path)
        case "truncate":
            os.truncate(path, path.stat().st_size - 5)
        case "lengthen" if name == "segment":
            return  # what follows the blobs of a segment is no one's
        case "lengthen":
            path.write_bytes(path.read_bytes() + b"x")
        case "delete":
            path.unlink()
    for what in (newer.parent, newer):
        with pytest.raises(CheckpointError) as caught:
            load(what)
        assert str(path) in str(caught.value)
        assert f"r2d2 resume {newer.parent.parent} --checkpoint {older}" in str(caught.value)
    assert same(load(older), STATE)


def test_every_single_flipped_bit_is_noticed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    folder = save(root, {"a": np.arange(3), "b": blobs(range(2), size=20), "f": 0.5}, number=1)
    for path in [*folder.iterdir(), *(root / "segments").iterdir(), root / "latest"]:
        for position in range(0, path.stat().st_size, 3):
            flip(path, position)
            with pytest.raises(CheckpointError):
                load(root)
            flip(path, position)
    load(root)


def test_a_damaged_blob_is_named_by_key_and_shared_damage_is_not_offered(tmp_path: Path) -> None:
    parent = save(tmp_path, {"a": blobs(range(10))}, number=1)
    save(tmp_path, {"a": blobs(range(12))}, number=2, parent=parent)
    segment = tmp_path / "segments" / next(iter(read_manifest(parent).segments))
    flip(segment, 350)  # blobs of 100 to 106 bytes: within the fourth
    with pytest.raises(CheckpointError, match=r"seg-00000000.bin is damaged: .* key 3 .*No other checkpoint"):
        load(tmp_path)


def test_another_format_version_is_refused_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "VERSION", 99)
    foreign = save(tmp_path, {"a": blobs(range(3))}, number=1)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"version 99, this code reads r2d2-checkpoint version 1"):
        load(tmp_path)
    with pytest.raises(CheckpointError, match="another folder"):
        save(tmp_path, {}, number=2)
    monkeypatch.setattr(manifest, "VERSION", 99)
    assert same(load(foreign)["a"], blobs(range(3)))


def test_a_dangling_pointer_is_not_followed_by_a_silent_fallback(two: tuple[Path, Path]) -> None:
    older, newer = two
    shutil.rmtree(newer)
    with pytest.raises(CheckpointError, match=f"names 'ckpt-00000002'.*--checkpoint {older}"):
        load(newer.parent)


# --- parts ----------------------------------------------------------------------------------------------------

WHOLE = {
    "learner": OrderedDict(network={"w": torch.arange(6.0).reshape(2, 3)}, updates=3),
    "replay": {"rows": np.arange(1000), "full": blobs(range(9))},
}


def test_a_part_is_read_without_the_rest(tmp_path: Path) -> None:
    """So weights come out of a checkpoint whose replay is damaged or gone."""
    path = save(tmp_path, WHOLE, number=1)
    names = ["learner/network", "learner/updates", "replay"]
    whole = {
        "learner/network": WHOLE["learner"]["network"],
        "learner/updates": 3,
        "replay": WHOLE["replay"],
    }
    assert same(load_part(tmp_path, names), whole)
    flip(path / "arrays.bin", -1)  # the last byte of replay/rows
    shutil.rmtree(tmp_path / "segments")
    assert same(load_part(path, names[:2]), {name: whole[name] for name in names[:2]})
    with pytest.raises(CheckpointError, match=r"arrays\.bin is damaged: 8,000 bytes at 64"):
        load_part(path, ["replay/rows"])
    with pytest.raises(CheckpointError, match=r"seg-00000000\.bin is missing"):
        load_part(path, ["replay/full"])
    with pytest.raises(CheckpointError, match=r"seg-00000000\.bin is missing"):
        load(path)


def test_damage_to_the_part_itself_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path, WHOLE, number=1)
    flip(path / "arrays.bin", 5)
    assert load_part(path, ["learner/updates"]) == {"learner/updates": 3}
    with pytest.raises(CheckpointError, match=r"arrays\.bin is damaged: 24 bytes at 0"):
        load_part(path, ["learner/network"])


def test_a_part_that_is_not_there_is_named(tmp_path: Path) -> None:
    save(tmp_path, WHOLE, number=1)
    for name in ("learner/net", "learner/updates/x", "", "replay/full/x"):
        with pytest.raises(CheckpointError, match=r"tree\.json is not what r2d2 writes: KeyError"):
            load_part(tmp_path, [name])


# --- two processes --------------------------------------------------------------------------------------------


def test_a_refused_save_removes_nothing_of_another_process(tmp_path: Path) -> None:
    """Neither the segment that has just the name that it would have used, nor the other's unfinished files."""
    save(tmp_path, {"a": blobs(range(5))}, number=1)
    code = f"""
import pathlib
from r2d2.checkpoint import checkpoint, segments
from checkpoint_cases import blobs
write = segments.write
def held(*args):
    write(*args)
    print("saving", flush=True)
    input()
segments.write = held
checkpoint.save(pathlib.Path({str(tmp_path)!r}), {{"a": blobs(range(9))}}, number=2)
"""
    command = [sys.executable, "-c", code]
    environ = os.environ | {"PYTHONPATH": f"{SOURCE}:{SOURCE / 'tests'}"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"saving\n"
        with pytest.raises(CheckpointError, match="another process is saving there"):
            save(tmp_path, {"a": blobs(range(7))}, number=2)
        other.communicate(b"\n")
    assert other.returncode == 0
    assert same(load(tmp_path), {"a": blobs(range(9))})


def test_a_segment_that_is_there_already_is_left_alone(tmp_path: Path) -> None:
    """It is of another process, and must not be cleaned up when this save fails."""
    other, created = tmp_path / "seg-00000000.bin", list[Path]()
    other.write_bytes(b"of another process")
    with pytest.raises(FileExistsError):
        segments._write_segment(other, [b"ours"], created)
    assert created == []
