"""A plain Python model of a replay: lists of rows, and items cut from them by the rule as it is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.replay import Batch, Column, Fifo, Proportional, Replay, Sequencer, Uniform

CORE = 2


@dataclass(frozen=True)
class Cut:
    """How a case cuts and keeps its streams."""

    streams: int = 3
    burn_in: int = 3
    unroll: int = 4
    n_step: int = 2
    period: int = 2
    context: int = 2
    block: int = 3
    codec: Any = "raw"
    steps: int = 60
    uniform: bool = False

    def make(self) -> Replay:
        columns = {
            "frame": Column((3,), "uint8", self.codec, self.context),
            "number": Column((), "float32"),
        }
        sequencer = Sequencer(
            self.streams, burn_in=self.burn_in, unroll=self.unroll, n_step=self.n_step, period=self.period,
            context=self.context, core_size=CORE,
        )  # fmt: skip
        capacity = max(self.steps // self.period, self.streams * sequencer.items_at_once)
        selector = Uniform(capacity) if self.uniform else Proportional(capacity)
        return Replay(
            columns, streams=self.streams, sequencer=sequencer, selector=selector, remover=Fifo(capacity),
            capacity=capacity, steps=max(self.steps, sequencer.rows), block=self.block, core_size=CORE,
        )  # fmt: skip


def row_values(numbers: NDArray[np.int64]) -> dict[str, NDArray]:
    """Rows [K] that can be told apart in both columns."""
    digits = np.stack([numbers % 251, numbers // 251 % 251, numbers // 63001], -1)
    return {"frame": digits.astype(np.uint8), "number": numbers.astype(np.float32)}


def core_before(numbers: NDArray[np.int64]) -> NDArray[np.float32]:
    """The recurrent state before each row: its number, so that a shift by one is seen."""
    return np.stack([numbers, -numbers], -1).astype(np.float32)


@dataclass(frozen=True)
class Item:
    """What one item must read as: the episode's row numbers, its own number k, and the episode's last row."""

    rows: list[int]  # the numbers of the episode's rows; shared with the stream, so it may grow
    first: int  # first trained step in the episode
    length: int
    lookahead: int


@dataclass
class Stream:
    """The rows of one stream's running episode and how many items of it were handed out."""

    rows: list[int] = field(default_factory=list)
    items: int = 0


class Model:
    """Writes into a replay and knows what must be in it."""

    def __init__(self, cut: Cut) -> None:
        self.cut = cut
        self.replay = cut.make()
        self.streams = [Stream() for _ in range(cut.streams)]
        self.items: dict[int, Item] = {}  # by id, given up or not
        self.trained: dict[int, int] = {}  # row number -> items that train it
        self.actions: set[int] = set()  # rows of finished episodes that must be trained
        self._next = 1

    def write(self, chosen: list[int], last: list[bool]) -> None:
        """One row in each chosen stream; `last` is ignored where an episode has no action yet."""
        ends = np.array([flag and bool(self.streams[s].rows) for s, flag in zip(chosen, last, strict=True)], bool)
        numbers = self._next + np.arange(len(chosen))
        self._next += len(chosen)
        ids = self.replay.write(
            row_values(numbers), ends, streams=np.array(chosen), core=core_before(numbers)
        )
        expected: list[Item] = []
        for stream, number, end in zip(chosen, numbers.tolist(), ends.tolist(), strict=True):
            expected += self._complete(self.streams[stream], number, end)
        assert len(ids) == len(expected)
        assert not set(ids.tolist()) & set(self.items), "an id came back"
        self.items |= dict(zip(ids.tolist(), expected, strict=True))

    def _complete(self, stream: Stream, number: int, end: bool) -> list[Item]:
        cut = self.cut
        stream.rows.append(number)
        at = len(stream.rows) - 1  # with `end`, the number of actions
        done = []
        while True:
            first = stream.items * cut.period
            full = at >= first + cut.unroll + cut.n_step - 1
            covered = stream.items > 0 and first - cut.period + cut.unroll >= at
            if not (full or (end and first < at and not covered)):
                break
            length = min(cut.unroll, at - first) if end else cut.unroll
            done.append(Item(stream.rows, first, length, min(cut.n_step, at - (first + length - 1))))
            for step in range(first, first + length):
                row = stream.rows[step]
                self.trained[row] = self.trained.get(row, 0) + 1
            stream.items += 1
        if end:
            self.actions |= set(stream.rows[:-1])
            stream.rows, stream.items = [], 0
        return done

    def check(self, batch: Batch) -> None:
        """Everything a batch holds, row by row, against the lists."""
        cut = self.cut
        for b, number in enumerate(batch.ids.tolist()):
            item = self.items[number]
            start = max(0, item.first - cut.burn_in)
            assert batch.burn_in[b] == item.first - start
            assert (batch.length[b], batch.lookahead[b]) == (item.length, item.lookahead)
            assert batch.core[b].tolist() == core_before(np.array([item.rows[start]]))[0].tolist()
            low = max(0, start - cut.context)
            high = item.first + item.length - 1 + item.lookahead
            for name, context in (("frame", cut.context), ("number", 0)):
                width = context + cut.burn_in + cut.unroll + cut.n_step
                steps = item.first - cut.burn_in - context + np.arange(width)
                rows = np.array([item.rows[step] for step in np.clip(steps, low, high)])
                if name == "number":  # left padding repeats the widest context's first row, which is masked
                    valid = steps >= start
                    rows, got = rows[valid], batch.columns[name][b][valid]
                else:
                    got = batch.columns[name][b]
                assert np.array_equal(got, row_values(rows)[name]), f"{name} of item {number}"

    def held(self) -> NDArray[np.int64]:
        """The ids that the replay must still hold: the newest, oldest given up first."""
        return np.array(list(self.items)[len(self.items) - len(self.replay) :])

    def check_blocks(self) -> None:
        """References counted anew from the items and the writers equal the storage's, and none is lost."""
        storage, items = self.replay.storage, self.replay.items
        refs = np.zeros(storage.slots, np.int64)
        found = items.get(items.places)
        for slot, offset, rows in zip(found["slot"], found["offset"], found["rows"], strict=True):
            left = offset + rows
            while left > 0:
                refs[slot] += 1
                slot, left = storage.following[slot], left - storage.block
        for stream in range(self.cut.streams):
            opened = -(-storage.cursor[stream] // storage.block)
            for block in range(storage.held[stream], opened):
                refs[storage.recent[stream, block % storage.recent.shape[1]]] += 1
        assert np.array_equal(refs, storage.refs)
        assert storage.free_blocks == np.count_nonzero(refs == 0)
