"""Demonstrations of the T-maze: someone who knows the way plays it, and what they do becomes a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.build import agents, environments
from r2d2.config import Config, to_dict
from r2d2.dataset.dataset import VALUES, Dataset, Spec, open_dataset, write_dataset
from r2d2.envs.memory.tmaze import EAST, NORTH, SOUTH
from r2d2.types import as_previous, no_previous

SEED = 1_000_000  # of the episodes that are shown, which training and evaluation do not use


def demonstrations(config: Config, episodes: int, path: Path) -> Dataset:
    """A dataset of so many episodes of the way there, made unless it is there."""
    if path.exists():
        return open_dataset(path)
    spec = environments.spec(config)
    columns = agents.columns(config, spec, stack=1)
    columns = {name: column for name, column in columns.items() if name not in VALUES}  # nobody's Q values
    head = Spec.of(to_dict(config.env), spec.num_actions, columns).head
    return write_dataset(path, played(config, episodes), head | {"source": {"expert": "tmaze", "seed": SEED}})


def played(config: Config, episodes: int) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The columns [L + 1, ...] of each episode: read the sign, walk east, turn as it said."""
    vector = environments.vector(config, episodes, threads=1)
    corridor = int(config.env.options["corridor"])
    seen = [vector.reset(SEED)]
    turn = np.where(seen[0][:, 0] == 0.0, NORTH, SOUTH)  # 0 1 1 at the start if the goal is north
    actions = [*np.full((corridor, episodes), EAST), turn]
    steps = []
    for action in actions:
        steps.append(vector.step(action))
        seen.append(steps[-1].observation)
    assert steps[-1].terminated.all(), "the way does not lead to the end of every episode"
    vector.close()
    observation, action = np.stack(seen), np.stack(actions).astype(np.int32)
    results = {name: np.stack([getattr(step, name) for step in steps]) for name in RESULTS}
    for slot in range(episodes):
        own = {name: _with_last(values[:, slot]) for name, values in results.items()}
        yield {
            "observation": observation[:, slot],
            "action": _with_last(action[:, slot]),
            "previous_action": np.concatenate([no_previous(1, 0), as_previous(action[:, slot])]),
            "previous_reward": np.concatenate([np.zeros(1, np.float32), own["reward"][:-1]]),
            **own,
        }


RESULTS = ("reward", "terminated", "truncated")


def _with_last(values: NDArray[Any]) -> NDArray[Any]:
    """With the row of the final observation."""
    return np.concatenate([values, np.zeros_like(values[:1])])
