"""Compressed columns while something else goes on: encoding, removal, a disk that is full."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from r2d2.replay import Column, codecs
from r2d2.replay.codecs import CODECS, Bytes
from r2d2.replay.compressed import CompressedColumn, Job

BLOCK = 4


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """lz4 encodes only once the gate is open."""
    opened = threading.Event()
    true = CODECS["lz4"]

    def encode(data: NDArray) -> bytes:
        assert opened.wait(20)
        return true.encode(data)

    monkeypatch.setitem(codecs.CODECS, "lz4", replace(true, encode=encode))
    yield opened
    opened.set()


class Stream:
    """One stream that fills slot after slot of a column of two bytes."""

    def __init__(self, slots: int = 4, folder: Path | None = None) -> None:
        self.column = CompressedColumn(Column((2,), "uint8", "lz4"), slots, BLOCK, 1, folder)
        self.open_stream = np.full(slots, -1, np.int32)
        self.count = np.zeros(slots, np.int16)

    def fill(self, slot: int, first: int, rows: int = BLOCK) -> None:
        """Rows [first, first] .. of a block; full ones are frozen."""
        for offset in range(rows):
            self.count[slot], self.open_stream[slot] = offset + 1, 0
            value = np.full((1, 2), first + offset, np.uint8)
            self.column.write(np.zeros(1, np.int64), np.array([offset]), value)
        if rows == BLOCK:
            self.open_stream[slot] = -1
            self.column.freeze(
                np.array([slot]), np.zeros(1, np.int64), np.zeros(1, np.int64), np.array([BLOCK])
            )

    def start(self, slot: int, rows: int = BLOCK) -> tuple[NDArray, list[Job]]:
        """A read of the first rows of a slot that has not been finished."""
        out = np.zeros((1, rows, 2), np.uint8)
        wanted = slot * BLOCK + np.arange(rows)[None]
        return out, self.column.read(wanted, self.open_stream, self.count, out)

    def read(self, slot: int, rows: int = BLOCK) -> list[int]:
        out, jobs = self.start(slot, rows)
        for job in jobs:
            job()
        return out[0, :, 0].tolist()


def test_a_stream_goes_on_while_its_block_is_encoded(gate: threading.Event) -> None:
    """What is written next does not get into the block, and is read from the other side."""
    stream = Stream()
    stream.fill(0, 10)
    stream.fill(1, 20, rows=3)
    assert stream.read(1, 3) == [20, 21, 22]
    out, jobs = stream.start(0)
    threading.Timer(0.05, gate.set).start()
    for job in jobs:
        job()
    assert out[0, :, 0].tolist() == [10, 11, 12, 13]
    assert stream.read(1, 3) == [20, 21, 22]


def test_a_third_block_waits_for_the_first(gate: threading.Event) -> None:
    """A stream has two raw blocks: before it comes back to one, that must have been encoded."""
    stream = Stream()
    stream.fill(0, 10)
    threading.Timer(0.05, gate.set).start()
    stream.fill(1, 20)  # waits
    stream.fill(2, 30, rows=2)
    assert [stream.read(slot, 2) for slot in range(3)] == [[10, 11], [20, 21], [30, 31]]


def test_a_slot_given_up_while_it_is_encoded(gate: threading.Event) -> None:
    """Its bytes are not counted, and do not appear in the block that takes its place."""
    stream = Stream()
    stream.fill(0, 10)
    stream.column.free(np.array([0]))
    stream.fill(0, 50, rows=2)
    gate.set()
    assert stream.column.encoded_nbytes == 0
    assert stream.read(0, 2) == [50, 51]


def test_a_draw_outlives_its_block_on_the_disk(tmp_path: Path) -> None:
    """The slot is freed and filled anew before the draw is decoded."""
    stream = Stream(folder=tmp_path)
    stream.fill(0, 10)
    assert stream.column.encoded_nbytes > 0
    out, jobs = stream.start(0)
    stream.column.free(np.array([0]))
    stream.fill(0, 90)
    assert stream.column.encoded_nbytes > 0
    for job in jobs:
        job()
    assert out[0, :, 0].tolist() == [10, 11, 12, 13]
    assert stream.read(0) == [90, 91, 92, 93]
    assert list(tmp_path.iterdir()) == [], "the file has no name: nothing is left behind"


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks for which there is no room stay in memory; the next ones are tried again."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    stream = Stream(folder=tmp_path)
    with monkeypatch.context() as context:
        context.setattr(os, "pwrite", full)
        stream.fill(0, 10)
        assert stream.column.encoded_nbytes > 0
    stream.fill(1, 20)
    assert stream.read(0) == [10, 11, 12, 13]
    assert stream.read(1) == [20, 21, 22, 23]
    assert len(stream.column.blocks(np.array([0, 1]))) == 2


def test_a_block_that_is_written_in_part_stays_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream(folder=tmp_path)
    with monkeypatch.context() as context:
        context.setattr(os, "pwrite", lambda fd, data, at: len(data) - 1)
        stream.fill(0, 10)
        assert stream.column.encoded_nbytes > 0
    assert stream.read(0) == [10, 11, 12, 13]


def test_no_more_of_a_block_is_decoded_than_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """With lz4 the beginning alone up to half of a block, then the whole."""
    true, sizes = CODECS["lz4"], []

    def decode(name: str, data: Bytes, out: NDArray) -> None:
        sizes.append((name, len(out) // 2))
        getattr(true, name)(data, out)

    monkeypatch.setitem(
        codecs.CODECS, "lz4", replace(true, begin=partial(decode, "begin"), decode=partial(decode, "decode"))
    )
    stream = Stream()
    stream.fill(0, first=10)
    for rows in range(1, BLOCK + 1):
        assert stream.read(0, rows) == [10, 11, 12, 13][:rows]
    assert sizes == [("begin", 1), ("begin", 2), ("decode", BLOCK), ("decode", BLOCK)]
