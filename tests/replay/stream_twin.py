"""A replay as plain lists: what was written, which items that makes, and which blocks must be held.

Written from the rules, not from the code: item k of an episode trains on actions [k period, k period +
unroll), warmed by up to burn_in steps before and followed by up to n_step rows, until all are covered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from r2d2.replay import Sequencer


@dataclass(frozen=True)
class Sizes:
    """Rows of each part of an item."""

    burn_in: int
    unroll: int
    n_step: int
    period: int
    context: int

    def sequencer(self, streams: int, core_size: int = 0) -> Sequencer:
        return Sequencer(streams, core_size=core_size, **vars(self))


class Cut(NamedTuple):
    """One item: rows count from the stream's first."""

    stream: int
    trained: int  # row of the first trained step
    context: int
    burn_in: int
    length: int
    lookahead: int

    @property
    def begin(self) -> int:
        """The row of its first observation, whose core state it keeps."""
        return self.trained - self.burn_in

    @property
    def rows(self) -> range:
        """Every row that it needs, context included."""
        return range(self.begin - self.context, self.trained + self.length + self.lookahead)


def cuts(sizes: Sizes, stream: int, start: int, actions: int) -> list[Cut]:
    """The items of an episode of so many actions whose first row is `start`."""
    found: list[Cut] = []
    covered = 0
    while covered < actions:
        first = len(found) * sizes.period
        length = min(sizes.unroll, actions - first)
        burn_in = min(sizes.burn_in, first)
        found.append(
            Cut(
                stream, start + first, min(sizes.context, first - burn_in), burn_in, length,
                min(sizes.n_step, actions - (first + length) + 1),
            )
        )  # fmt: skip
        covered = first + length
    return found


@dataclass
class StreamTwin:
    """One stream as a list of rows, and where each of them is stored: at `addresses` [rows], block after block.

    With `aligned`, an episode begins in a block of its own, burn_in + context rows (modulo `block`) from its
    start.
    """

    sizes: Sizes
    stream: int
    block: int = 1
    aligned: bool = False
    rows: list[Any] = field(default_factory=list)
    addresses: list[int] = field(default_factory=list)
    start: int = 0  # row of the running episode's first
    finished: int = 0  # items of the running episode

    def write(self, row: Any, last: bool) -> list[Cut]:
        """Append a row; returns the items that it completes, in order."""
        self.addresses.append(self.next_address)
        self.rows.append(row)
        at = len(self.rows) - 1 - self.start
        if last:
            new = cuts(self.sizes, self.stream, self.start, at)[self.finished :]
            self.start, self.finished = len(self.rows), 0
            return new
        new = []
        while self._complete_at(self.finished) <= at:
            sizes, first = self.sizes, self.finished * self.sizes.period
            endless = cuts(sizes, self.stream, self.start, first + sizes.unroll + sizes.n_step)
            new.append(endless[self.finished])
            self.finished += 1
        return new

    def _complete_at(self, k: int) -> int:
        return k * self.sizes.period + self.sizes.unroll + self.sizes.n_step - 1

    @property
    def needed(self) -> int:
        """The first row that an unfinished item of the running episode will need."""
        first = self.finished * self.sizes.period
        return self.start + max(0, first - self.sizes.burn_in - self.sizes.context)

    @property
    def next_address(self) -> int:
        """Where the next row goes."""
        after = self.addresses[-1] + 1 if self.addresses else 0
        if self.aligned and self.start == len(self.rows):  # an episode begins
            return (
                -(-after // self.block) * self.block + (self.sizes.burn_in + self.sizes.context) % self.block
            )
        return after

    @property
    def opens(self) -> bool:
        """Whether the next row is the first of a block."""
        return not self.addresses or self.next_address // self.block > self.addresses[-1] // self.block

    def held_blocks(self) -> set[int]:
        """Blocks that the writer must keep: from the first needed row's to the one being filled."""
        if not self.addresses:
            return set()
        first = self.addresses[self.needed] if self.needed < len(self.rows) else self.next_address
        return set(range(first // self.block, self.addresses[-1] // self.block + 1))

    def rows_of(self, block: int) -> int:
        """Rows that a block has room for up to the last that is written."""
        return max(address for address in self.addresses if address // self.block == block) % self.block + 1
