"""Frame: the arrays of a replay as its compiled calls hold them."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.items import ItemTable
from r2d2.replay.kernels import calls
from r2d2.replay.kernels.held import ARRAYS, HELD
from r2d2.replay.kernels.table import NEW_ITEM
from r2d2.replay.removers.fifo import Fifo
from r2d2.replay.removers.remover import Remover
from r2d2.replay.selectors.proportional import Proportional
from r2d2.replay.selectors.selector import Selector
from r2d2.replay.selectors.uniform import Uniform
from r2d2.replay.sequencer import Sequencer
from r2d2.replay.storage import Storage


class Frame:
    """What `kernels.calls` works on, at `address`; `refresh` it when an array has become another.

    The results of a write stay in `report`, `at`, `full`, `new` and `ids` until the next one. `draws`:
    the loops know the selector. `writes`: they know the remover too.
    """

    def __init__(
        self,
        storage: Storage,
        sequencer: Sequencer,
        items: ItemTable,
        selector: Selector,
        remover: Remover,
        most_rows: int,
    ) -> None:
        self._storage, self._sequencer, self._items = storage, sequencer, items
        self._selector, self._remover = selector, remover
        self._record = np.zeros(1, HELD)
        self._kept: dict[str, NDArray] = {}
        self.address = int(self._record.ctypes.data)
        kind = _kind(selector)
        self.draws = kind != calls.OTHER
        self.writes = self.draws and type(remover) is Fifo
        streams = sequencer.streams
        self.at, self.full = np.zeros(streams, np.int64), np.zeros(streams, np.bool_)
        self.new = np.zeros(streams * sequencer.items_at_once, NEW_ITEM)
        self.ids = np.zeros(len(self.new), np.int64)
        self.report = np.zeros(4, np.int64)
        stratified = getattr(selector, "stratified", False)
        self._number(
            **{**sequencer.layout._asdict(), "block": storage.block, "lead": storage.lead},
            aligned=storage.aligned,
            reserve=storage.reserve,
            most_rows=most_rows,
            selector=kind,
            stratified=stratified,
        )
        self.refresh()

    def refresh(self) -> None:
        """Hold the arrays that the parts have now."""
        items = self._items
        parts: dict[str, NDArray] = {}
        for part in (self._selector, self._remover):
            parts |= getattr(part, "arrays", {})
        self._hold(
            **self._storage.blocks._asdict(),
            **self._sequencer.cutter._asdict(),
            **items.arrays,
            **self._storage.raw.held,
            **parts,
            at=self.at,
            full=self.full,
            new=self.new,
            ids=self.ids,
            report=self.report,
        )
        self._number(capacity=items.capacity)

    def _hold(self, **arrays: NDArray) -> None:
        for name, array in arrays.items():
            if name in ARRAYS:
                assert array.flags.c_contiguous, name
                self._kept[name] = array
                self._record[name][0] = (array.ctypes.data, *array.shape, *[0] * (3 - array.ndim))

    def _number(self, **numbers: int) -> None:
        for name, number in numbers.items():
            self._record[name] = number

    def __reduce__(self) -> NoReturn:
        raise TypeError("a replay cannot be copied or pickled, since it holds addresses: use its state_dict")


def _kind(selector: Selector) -> int:
    """How the loops know a selector; a class that was derived from one may do anything else."""
    if type(selector) is Proportional and not selector.changing_alpha:
        return calls.TREE
    return calls.DENSE if type(selector) is Uniform else calls.OTHER
