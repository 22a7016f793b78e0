"""Seeds: children of the run's seed, one for each purpose, so that no two share a random number."""

from __future__ import annotations

import numpy as np

# `build/replays.py` takes 100 for its reservoirs.
ACTING, SAMPLING, ENVIRONMENTS, EVALUATION = range(4)


def child_seed(seed: int, *key: int) -> int:
    """A seed below 2^30 for one purpose, from the run's seed."""
    return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1)[0] >> 2)


def generator(seed: int, *key: int) -> np.random.Generator:
    """A generator for one purpose, from the run's seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
