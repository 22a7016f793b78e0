"""From a draw to a batch: the points that are drawn, the importance weights of the items, the arrays that they are
read into, and the batch while its blocks still decode in background threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from r2d2.replay import workers
from r2d2.replay.checks import check_beta
from r2d2.replay.compressed import Job
from r2d2.replay.readings import Reading
from r2d2.replay.rows import RowArrays
from r2d2.replay.selectors.selector import Selector
from r2d2.types import Batch, Column

Ints = NDArray[np.int64]
Normalize = Literal["batch", "buffer"]

FIELDS = ("core", "burn_in", "length", "lookahead", "probability")  # of a Batch, joined as they are


def strata(n: int, rng: np.random.Generator, stratified: bool) -> NDArray[np.float64]:
    """n points in [0, 1): one in each of n equal ranges, in order, or all independent.

    >>> (strata(4, np.random.default_rng(0), True) * 4).astype(int).tolist()
    [0, 1, 2, 3]
    """
    u = rng.random(n)
    return (np.arange(n) + u) / n if stratified else u


def batch_shares(n: int, shares: Sequence[float]) -> list[int]:
    """How many of n items come from each: n * share, the largest remainders rounded up, the first of equals.

    >>> batch_shares(7, [0.5, 0.25, 0.25])
    [3, 2, 2]
    """
    exact = [n * share / sum(shares) for share in shares]
    counts = [math.floor(x + 1e-9) for x in exact]  # 0.1 * 30 is 3, not 2.9999...
    by_remainder = sorted(range(len(shares)), key=lambda j: (round(counts[j] - exact[j], 9), j))
    for j in by_remainder[: n - sum(counts)]:
        counts[j] += 1
    return counts


# -- importance weights, which undo in the mean what drawing by priority does to the distribution of items -------


@runtime_checkable
class HasMinimum(Protocol):
    """A selector that knows the smallest probability of all the items that it can draw."""

    def min_probability(self) -> float: ...


def importance_weights(
    probability: NDArray[np.float64], items: int, beta: float, smallest: float | None = None
) -> NDArray[np.float32]:
    """w = (N P)^-beta over the largest in the batch, or over that of an item of probability `smallest`.

    The first is the default. The second is the paper's text (Schaul et al. 2016, algorithm 1: max over i),
    but a single item of a priority near zero makes every weight of every batch tiny until it is removed, as
    if the learning rate had been lowered, and learning stands still.

    >>> importance_weights(np.array([0.5, 0.25]), 4, 1.0).tolist()
    [0.5, 1.0]
    >>> importance_weights(np.array([0.5, 0.25]), 4, 1.0, smallest=0.125).tolist()
    [0.25, 0.5]
    """
    beta = check_beta(beta)
    scaled = (items * probability) ** -beta
    largest = scaled.max() if smallest is None else (items * smallest) ** -beta
    return (scaled / largest).astype(np.float32)


def weights_of(
    selector: Selector, probability: NDArray[np.float64], beta: float, normalize: Normalize
) -> NDArray[np.float32]:
    """Importance weights of items that this selector drew with these probabilities."""
    if beta == 0.0:
        return np.ones(len(probability), np.float32)
    smallest = None
    if normalize == "buffer" and isinstance(selector, HasMinimum):
        smallest = selector.min_probability()
    return importance_weights(probability, len(selector), beta, smallest)


def check_normalize(normalize: Normalize, selector: object) -> None:
    """Raise ValueError where the weights cannot be normalized so with this selector."""
    if normalize not in ("batch", "buffer"):
        raise ValueError(f'normalize must be "batch" or "buffer", got {normalize!r}')
    if normalize == "buffer" and not isinstance(selector, HasMinimum):
        raise ValueError(
            f'normalize="buffer" needs the smallest probability of all items, which {type(selector).__name__}'
            ' does not have (it depends on the batch, or falls towards 0 with age): use normalize="batch"'
        )


# -- arrays --------------------------------------------------------------------------------------------


class BatchArrays(NamedTuple):
    """Where a batch is read into: columns [B, column context + T - skipped, ...], the small ones views of
    `records` [B, context + T]."""

    columns: dict[str, NDArray]
    records: NDArray

    def part(self, items: slice) -> BatchArrays:
        """Those of some of the items."""
        return BatchArrays(
            {name: column[items] for name, column in self.columns.items()}, self.records[items]
        )


def new_arrays(
    raw: RowArrays, columns: Mapping[str, Column], shape: tuple[int, ...], context: int
) -> BatchArrays:
    """Arrays of these columns for items of `shape` [B, context + T]; `raw` are the uncompressed ones."""
    records = np.empty(shape, raw.record)
    arrays = {
        name: records[name][:, context - column.context + column.skipped :]
        if name in raw.small
        else np.empty(_shape(column, shape, context), column.dtype)
        for name, column in columns.items()
    }
    return BatchArrays(arrays, records)


def arrays_of(
    out: Batch, raw: RowArrays, columns: Mapping[str, Column], shape: tuple[int, ...], context: int
) -> BatchArrays:
    """The arrays of a batch that `new_arrays` made with these arguments; ValueError for another batch."""
    records = out.records if isinstance(out, Batch) else None
    fits = records is not None and (records.shape, records.dtype) == (shape, raw.record)
    fits = fits and out.columns.keys() == columns.keys()
    if (
        records is None
        or not fits
        or not all(
            out.columns[name].dtype == column.numpy_dtype
            and out.columns[name].shape == _shape(column, shape, context)
            for name, column in columns.items()
            if name not in raw.small  # views of the records
        )
    ):
        raise ValueError(f"out must be a batch of {shape[0]} items that this replay drew before")
    return BatchArrays(dict(out.columns), records)


def _shape(column: Column, shape: tuple[int, ...], context: int) -> tuple[int, ...]:
    return (shape[0], shape[1] - context + column.context - column.skipped, *column.shape)


# -- batches -------------------------------------------------------------------------------------------


class PendingBatch:
    """A batch that may still be decoding. It is fixed: later writes and removals do not change it."""

    def __init__(
        self,
        batch: Batch,
        jobs: list[Job],
        reading: Reading | None = None,
        finish: Callable[[], None] | None = None,
    ) -> None:
        """`jobs` copy and decode into the batch, and may be a `reading`; `finish` has the last word, once
        they are done."""
        self._batch, self._reading, self._finish = batch, reading, finish
        self._futures = [workers.submit(job) for job in jobs]
        if reading is not None:
            reading.copies = self._futures

    def result(self) -> Batch:
        """The batch, complete."""
        for future in self._futures:
            future.result()
        if self._reading is not None:
            self._reading.over = True
        if self._finish is not None:
            self._finish()
            self._finish = None
        return self._batch
