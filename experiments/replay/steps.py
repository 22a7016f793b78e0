"""A replay of single trained steps, the unit of the tabular studies."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from r2d2.replay import Column, Fifo, Mixture, Remover, Replay, Selector, Sequencer


def step_replay(
    columns: Mapping[str, str],
    capacity: int,
    selector: Selector,
    remover: Remover | None = None,
    *,
    streams: int = 1,
    n_step: int = 1,
) -> Replay:
    """A replay of `capacity` items of one step and up to `n_step` rows after it; `columns`: name to dtype.

    Blocks have two rows, so that scattered items of a reservoir keep little else alive. FIFO is the remover
    unless one is given.
    """
    rows = n_step + 1
    return Replay(
        {name: Column((), dtype) for name, dtype in columns.items()},
        streams=streams,
        sequencer=Sequencer(streams, burn_in=0, unroll=1, n_step=n_step, period=1),
        selector=selector,
        remover=remover if remover is not None else Fifo(capacity),
        capacity=capacity,
        steps=(rows + 2) * capacity,
        block=2,
    )


def write_bandit(replay: Replay | Mixture, values: Mapping[str, NDArray]) -> NDArray[np.int64]:
    """Write an episode of one action to each stream; `values` [streams]; returns the new items' ids."""
    done = np.ones(replay.streams, np.bool_)
    replay.write(values, ~done)
    return replay.write({name: np.zeros_like(value) for name, value in values.items()}, done)
