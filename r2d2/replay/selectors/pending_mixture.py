"""The draw of a mixture: what each replay gives to a batch, and the batch while its parts still decode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.draw import FIELDS, BatchArrays, PendingBatch, importance_weights
from r2d2.types import Batch

Ints = NDArray[np.int64]


def inverse_probabilities(counts: Sequence[int], items: Sequence[int], written: int) -> list[float]:
    """1 / P of an item of each replay if all were drawn alike: all items of the first `written` replays together,
    or of each frozen one, over the part of the batch that they give.
    Replay j has `items[j]` and gives `counts[j]`.

    >>> inverse_probabilities([3, 1, 4], [60, 40, 8], written=2)
    [200.0, 200.0, 16.0]
    """
    n, drawn = sum(counts), sum(counts[:written])
    alike = [sum(items[:written]) * n / drawn if drawn else 0.0] * written
    frozen = zip(items[written:], counts[written:], strict=True)
    return alike + [held * n / count if count else 0.0 for held, count in frozen]


class PartOfDraw(NamedTuple):
    """What one replay of a mixture gives to a batch."""

    number: int  # of the replay
    share: float  # of the batch
    inverse: float  # 1 / P of an item if all items among which the weights are computed were drawn alike
    draw: PendingBatch


class PendingMixture:
    """The draws of one batch, which decode side by side into the same arrays."""

    def __init__(
        self,
        arrays: BatchArrays,
        draws: list[PartOfDraw],
        outer: Callable[[int, Ints], Ints],
        beta: float,
        smallest: float | None,
    ) -> None:
        """`draws` in the order of the rows; `outer` turns the ids of a replay into those of the mixture; `smallest`
        is the least `inverse` times probability of any item, if weights are normalized by it."""
        self._arrays, self._draws, self._outer = arrays, draws, outer
        self._beta, self._smallest = beta, smallest

    def result(self) -> Batch:
        """The batch, complete."""
        parts = [part.draw.result() for part in self._draws]
        lengths = [len(batch.ids) for batch in parts]
        joined = {name: np.concatenate([getattr(batch, name) for batch in parts]) for name in FIELDS}
        ids = [self._outer(part.number, batch.ids) for part, batch in zip(self._draws, parts, strict=True)]
        joined["probability"] *= np.repeat([part.share for part in self._draws], lengths)
        relative = np.repeat([part.inverse for part in self._draws], lengths) * joined["probability"]
        weight = importance_weights(relative, 1, self._beta, self._smallest)
        return Batch(
            self._arrays.columns,
            ids=np.concatenate(ids),
            weight=weight,
            records=self._arrays.records,
            **joined,
        )
