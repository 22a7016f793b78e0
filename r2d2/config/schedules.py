"""Numbers that change over a run."""

from __future__ import annotations


def linear(step: int, *, start: float, end: float, steps: int) -> float:
    """A number that goes from `start` to `end` over `steps`, and stays there.

    Epsilon of DQN (Mnih et al. 2015), beta of prioritized replay (Schaul et al. 2016). With 0 steps it is
    `end` from the beginning.

    >>> linear(50, start=1.0, end=0.1, steps=100)
    0.55
    """
    share = min(1.0, step / steps) if steps else 1.0
    return start + (end - start) * share
