"""What a replay refuses before it changes anything, and what it says then."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.kernels import index as kernels
from r2d2.replay.sequencer import Sequencer
from r2d2.types import Column

Ints = NDArray[np.int64]

HIGHEST = 1e30  # priority; ours: sums over any number of items stay far from the end of float64


def check_sizes(
    columns: Mapping[str, Column],
    sequencer: Sequencer,
    *,
    streams: int,
    capacity: int,
    steps: int,
    block: int,
) -> None:
    """Raise ValueError if a replay of these sizes could not hold what one write makes."""
    if block < 1:
        raise ValueError(f"block must be at least 1 step, got {block}")
    if steps < sequencer.rows:
        raise ValueError(
            f"steps must be at least the {sequencer.rows} rows of one item "
            f"(context + burn_in + unroll + n_step), got {steps}"
        )
    at_once = streams * sequencer.items_at_once
    if capacity < at_once:
        raise ValueError(
            f"capacity must be at least {at_once} items, as many as one write can finish "
            f"(streams * items under construction), got {capacity}"
        )
    widest = max((column.context for column in columns.values()), default=0)
    if widest != sequencer.context:
        raise ValueError(
            f"the sequencer's context must be the columns' widest, {widest}, got {sequencer.context}"
        )


def check_streams(chosen: Ints, streams: int) -> Ints:
    """The streams of one write [K] as int64: within [0, streams), each at most once."""
    chosen = np.asarray(chosen, np.int64)
    if len(chosen) and (chosen.min() < 0 or chosen.max() >= streams):
        raise ValueError(f"streams must be in [0, {streams}), got {chosen}")
    if len(np.unique(chosen)) != len(chosen):
        raise ValueError(f"streams must all be different within one write, got {chosen}")
    return chosen


def check_rows(
    columns: Mapping[str, Column], values: Mapping[str, NDArray], last: NDArray[np.bool_], streams: Ints
) -> None:
    """Raise ValueError if rows [K, ...] of these streams [K] would not be stored as they are."""
    if last.shape != streams.shape or last.dtype != np.bool_:
        raise ValueError(f"last must be bool [{len(streams)}], got {last.dtype} {last.shape}")
    if values.keys() != columns.keys():
        raise ValueError(f"values must have the columns {sorted(columns)}, got {sorted(values)}")
    for name, column in columns.items():
        new, dtype = values[name], column.numpy_dtype
        alike = new.dtype is dtype and new.shape[1:] == column.shape and len(new) == len(last)
        if not alike or (dtype.char in "fd" and not kernels.finite(new.reshape(-1))):
            column.check(name, new, streams)  # which says what is wrong, if anything


def check_core(core: NDArray[np.float32], shape: tuple[int, int]) -> None:
    """Raise ValueError if recurrent states are not [K, C]; whether they are finite the sequencer looks at."""
    if core.shape != shape:
        raise ValueError(f"core must have shape {shape}, got {core.shape}")


def check_draw(n: int, items: int) -> None:
    """Raise ValueError if n items cannot be drawn from so many."""
    if n < 1:
        raise ValueError(f"n must be at least 1 item, got {n}")
    if items == 0:
        raise ValueError("the replay holds no finished item yet: write more steps before sampling")


def check_priorities(ids: Ints, priorities: NDArray) -> tuple[Ints, NDArray[np.float64]]:
    """Ids and priorities [K] as int64 and float64: as many, finite and not negative."""
    ids = np.asarray(ids, np.int64)
    priorities = np.asarray(priorities, np.float64)
    if ids.shape != priorities.shape or ids.ndim != 1:
        raise ValueError(f"ids and priorities must be [K] alike, got {ids.shape} and {priorities.shape}")
    fine = (priorities >= 0) & (priorities <= HIGHEST)  # false for NaN as well
    if not fine.all():
        raise ValueError(
            f"priorities must be finite and >= 0, got {priorities[~fine][0]} for item {int(ids[~fine][0])}: "
            f"look for NaN in the loss (at most {HIGHEST:g} is taken); no priority was changed"
        )
    return ids, priorities
