"""Reading: how items of a replay become batches."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.draw import BatchArrays, Normalize, PendingBatch
from r2d2.replay.held import Held
from r2d2.replay.kernels import calls
from r2d2.replay.relabelers.hindsight import Hindsight
from r2d2.replay.sequencer import Sequencer
from r2d2.types import Batch

Ints = NDArray[np.int64]

NO_MINIMUM = -1.0  # weights are over the largest in the batch


class Reader:
    """Draws items of `held`, and reads those in given places; copies get their rewards from a `relabeler`."""

    def __init__(
        self, sequencer: Sequencer, held: Held, normalize: Normalize, relabeler: Hindsight | None
    ) -> None:
        self.sequencer, self.held, self.normalize, self.relabeler = sequencer, held, normalize, relabeler
        self.storage, self.items, self.selector = held.storage, held.items, held.selector
        self._frame = held.frame

    def room(self, n: int, out: Batch | None) -> BatchArrays:
        """Arrays for n items: those of `out`, an earlier batch, or new ones."""
        return self.storage.room((n, self.sequencer.rows), self.sequencer.context, out)

    def draw(self, arrays: BatchArrays, n: int, rng: np.random.Generator, beta: float) -> PendingBatch:
        """Draw n items into these arrays."""
        smallest = NO_MINIMUM
        if self.normalize == "buffer" and beta > 0.0:
            smallest = self.selector.min_probability()  # type: ignore[attr-defined]  # checked when made
        if self._frame.draws:
            places = np.empty(n, np.int64)
            return self._read(places, rng.random(n), arrays, draw=True, beta=beta, smallest=smallest)
        places, probability = self.selector.sample(n, rng)
        return self._read(places, probability, arrays, beta=beta, smallest=smallest)

    def get(self, places: Ints, names: list[str]) -> Batch:
        """The items in these places, with some of the columns."""
        # Rewards under another goal are made from the observations.
        wanted = names if self.relabeler is None else list(self.storage.columns)
        shape = (len(places), self.sequencer.rows)
        arrays = self.storage.allocate(wanted, shape, self.sequencer.context)
        batch = self._read(places, np.full(len(places), np.nan), arrays).result()
        return replace(batch, columns={name: batch.columns[name] for name in names})

    def _read(
        self,
        places: Ints,
        probability: NDArray[np.float64],
        arrays: BatchArrays,
        *,
        draw: bool = False,
        beta: float = 0.0,
        smallest: float = NO_MINIMUM,
    ) -> PendingBatch:
        """The items in these places; or with `draw` those at the random points in `probability`, whose places and
        probabilities take the arrays over."""
        storage, items, n = self.storage, self.items, len(places)
        storage.check_process()
        rows, numbers = np.empty((n, self.sequencer.rows), np.int64), np.empty((4, n), np.int64)
        core, weight = np.empty((n, items.core.shape[1]), np.float32), np.empty(n, np.float32)
        records = arrays.records.view(np.uint8) if storage.raw.small else np.empty((n, 0), np.uint8)
        calls.sample(
            self._frame.address, not draw, probability, len(self.selector), beta, smallest,
            places, numbers, rows, core, weight, records,
        )  # fmt: skip
        jobs, reading = storage.read_rest(rows, arrays)
        burn_in, length, lookahead, ids = numbers
        batch = Batch(
            columns=arrays.columns,
            core=core,
            burn_in=burn_in,
            length=length,
            lookahead=lookahead,
            ids=ids,
            probability=probability,
            weight=weight,
            records=arrays.records,
        )
        if self.relabeler is None:
            return PendingBatch(batch, jobs, reading)
        goals = self.items.goal.take(places, axis=0)
        return PendingBatch(batch, jobs, reading, partial(self.relabeler.rewrite, batch, goals))
