"""Uncompressed columns: what is read is what was written, in memory and on a disk that has room."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r2d2.replay import Column
from r2d2.replay.rows import SMALL, RowArrays, zeros

DTYPES = ["bool", "uint8", "int16", "int32", "int64", "float16", "float32", "float64"]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(DTYPES), st.sampled_from([(), (1,), (3, 2), (600,)])), min_size=1),
    st.integers(0, 2**32 - 1),
)
def test_rows_of_any_columns(kinds: list[tuple[str, tuple[int, ...]]], seed: int) -> None:
    """Small and large, whatever their alignment; rows that were not written stay as they were."""
    columns = {f"c{i}": Column(shape, dtype) for i, (dtype, shape) in enumerate(kinds)}
    rows = RowArrays(columns, 9)
    rng = np.random.default_rng(seed)
    at = rng.permutation(9)[:4]
    values = {
        name: rng.integers(0, 100, (4, *column.shape)).astype(column.dtype)
        for name, column in columns.items()
    }
    rows.write(at, values)
    wanted = np.append(at, [next(iter(set(range(9)) - set(at.tolist())))])[None]  # one that is still zero
    records = np.empty(wanted.shape, rows.record)
    assert rows.small == {name for name, column in columns.items() if column.row_bytes <= SMALL}
    out = {name: records[name] for name in rows.small}
    for name, column in columns.items():
        out.setdefault(name, np.empty((*wanted.shape, *column.shape), column.dtype))
    rows.read(wanted, out, records)
    for name, column in columns.items():
        assert out[name].dtype == column.dtype
        np.testing.assert_array_equal(out[name][0, :4], values[name])
        assert not out[name][0, 4].any()
    assert sum(rows.nbytes.values()) == sum(array.nbytes for array in rows.arrays)
    assert list(rows.nbytes) == list(columns)


def test_files_are_scratch(tmp_path: Path) -> None:
    """They read and write like memory and have no name."""
    array = zeros((5, 3), "float32", tmp_path)
    assert not array.any()
    array[2] = 7
    assert array.sum() == 21
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the folder and the bytes; nothing is left there."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=f"{tmp_path} has no room for 4,000 bytes") as error:
        zeros((1000,), "float32", tmp_path)
    assert error.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (Column(), np.array([1.0, np.nan], np.float32), "must be finite.*nan"),
        (Column(), np.array([1.0, np.inf], np.float32), "must be finite.*inf"),
        (Column(), np.array([1.0, 1e39]), "within float32.*1e"),
        (Column((), "uint8"), np.array([0, 256], np.uint16), "within uint8, got 256"),
        (Column((), "int64"), np.array([0, 2**63], np.uint64), "within int64"),
        (Column((), "int32"), np.array([0.0, 1.0]), "must be int32, got float64"),
        (Column((2,)), np.zeros(2, np.float32), r"must have shape \(2, 2\), got \(2,\)"),
    ],
)
def test_values_that_would_be_stored_otherwise(column: Column, values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        column.check("x", values, np.arange(2))


@pytest.mark.parametrize(
    "values",
    [
        np.array([3e38, -3e38], np.float32),  # their squares are not finite
        np.array([1.5, 2.5]),
        np.array([1, 2], np.int16),
        np.zeros((2, 3), np.float32)[:, 1],  # not contiguous
    ],
)
def test_values_that_are_stored_as_they_are(values: np.ndarray) -> None:
    Column().check("x", values, np.arange(2))
