"""Writing: how rows come into a replay."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from r2d2.replay import checks
from r2d2.replay.held import Held
from r2d2.replay.kernels import calls
from r2d2.replay.kernels.table import NEW_ITEM
from r2d2.replay.relabelers.hindsight import Hindsight
from r2d2.replay.selectors.proportional import Proportional
from r2d2.replay.sequencer import Sequencer
from r2d2.types import Column

Ints = NDArray[np.int64]

_NO_IDS = np.empty(0, np.int64)


class Written(NamedTuple):
    """The arguments of `Replay.write`, checked."""

    values: Mapping[str, NDArray]
    last: NDArray[np.bool_]
    core: NDArray[np.float32]
    streams: Ints


class Writer:
    """Appends rows of `columns` to the steps of `held` and hands their new items to it, and those of a `relabeler`.

    Where the parts allow it (`Frame.writes`) that is one compiled call; `append` is the same in parts, for any.
    """

    def __init__(
        self,
        columns: Mapping[str, Column],
        streams: int,
        sequencer: Sequencer,
        held: Held,
        relabeler: Hindsight | None,
    ) -> None:
        self.columns, self.streams, self.sequencer, self.relabeler = columns, streams, sequencer, relabeler
        self.storage, self.items, self.held, self._frame = held.storage, held.items, held, held.frame
        self.steps = 0  # written so far
        self._all_streams = np.arange(streams)
        self._new = np.empty(streams * sequencer.items_at_once, NEW_ITEM)  # items of one write
        self._no_core = np.zeros((streams, held.items.core.shape[1]), np.float32)

    def write(self, values: Any, last: Any, streams: Any, core: Any) -> Ints:
        """See `Replay.write`."""
        if self._frame.writes and self.relabeler is None:
            return self._append(self._checked(values, last, streams, core, self.storage.raw.floats))
        rows = self.check_rows(values, last, streams, core)
        self.check_turn(rows)
        return self.append(rows)

    def check_rows(self, values: Any, last: Any, streams: Any, core: Any) -> Written:
        """See `Replay.check_rows`."""
        return self._checked(values, last, streams, core, ())

    def _checked(self, values: Any, last: Any, streams: Any, core: Any, later: Container[str]) -> Written:
        streams = self._all_streams if streams is None else checks.check_streams(streams, self.streams)
        last = checks.check_last(last, len(streams))
        arrays = checks.check_rows(self.columns, values, streams, later)
        shape = (len(streams), self.items.core.shape[1])
        core = self._no_core[: len(streams)] if core is None else checks.check_core(core, shape)
        return Written(arrays, last, core, streams)

    def check_turn(self, rows: Written) -> None:
        """See `Replay.check_turn`."""
        self.sequencer.check(rows.streams, rows.last, rows.core)
        if self.relabeler is not None:
            self.relabeler.check(rows.streams)

    def append(self, rows: Written) -> Ints:
        """Append rows that have been checked; returns the ids of the new items."""
        if self._frame.writes and self.relabeler is None:
            return self._append(rows)
        values, last, core, streams = rows
        self.storage.check_process()
        opened, pending = self.held.make_room(streams), self.sequencer.cutter.pending
        self.storage.room_to_open(opened)
        new = self.storage.append(values, streams, last, core, self.sequencer, opened, self._new)
        self.steps += len(last) - int(np.count_nonzero(last))
        if self.relabeler is None:
            return self.held.insert(new, pending) if len(new) else _NO_IDS
        ended = self.relabeler.write(values, last, streams, new, self.storage)
        ids = [self.held.insert(new, pending) if len(new) else _NO_IDS]
        ids += [self.held.insert(copies, self.relabeler.core, goals) for copies, goals in ended]
        return np.concatenate(ids)

    def _append(self, rows: Written) -> Ints:
        """`append` in one compiled call, which looks at what `check_turn` does first."""
        values, last, core, streams = rows
        storage, selector, frame = self.storage, self.held.selector, self._frame
        storage.check_process()
        storage.raw.stage(values, len(streams))
        value = selector.first_value if isinstance(selector, Proportional) else 1.0
        if storage.readings:
            storage.readings.release()
        count = calls.write(frame.address, streams, last, core, value, -1)
        while count == calls.WAIT:
            storage.readings.wait()
            count = calls.write(frame.address, streams, last, core, value, int(frame.report[calls.BEGAN]))
        if count == calls.GROW:
            self.held.make_place(int(frame.report[calls.COUNT]))
            count = calls.insert(frame.address, value)
        elif count < 0:
            self._refuse(count, rows)
        if storage.compressed or storage.raw.large:
            at, full = frame.at[: len(streams)], frame.full[: len(streams)]
            storage.finish(values, streams, at, full, int(frame.report[calls.KEPT]))
        self.steps += int(frame.report[calls.STEPS])
        ids = frame.ids[:count].copy()
        if self.items.linked and count:
            self.items.link(frame.new[:count], ids)
        return ids

    def _refuse(self, code: int, rows: Written) -> NoReturn:
        """Raise the error for what `calls.write` refused."""
        if code == calls.NO_ROOM:
            raise RuntimeError("the replay has no free block and no item to remove: raise `steps`")
        checks.check_rows(self.columns, rows.values, rows.streams)
        self.check_turn(rows)
        raise AssertionError(f"write refused rows that are right: {code}")

    def truncate(self, streams: Ints) -> None:
        """See `Replay.truncate`."""
        at = self.storage.newest(checks.check_streams(streams, self.streams))
        columns = self.storage.raw
        columns.column("truncated")[at] = ~columns.column("terminated")[at]
