"""The mean return of uniformly random actions in the study's tasks: `python -m experiments.next_r2d2.random`."""

from __future__ import annotations

import numpy as np

from experiments.next_r2d2.cells import TASKS, Task
from r2d2.envs.make import make

EPISODES = 1000


def mean_return(task: Task, episodes: int = EPISODES, seed: int = 0) -> float:
    """Mean return of the first episodes that end in as many environments."""
    vector = make(task.env, episodes, options=dict(task.changes.get("env.options", {})))
    rng = np.random.default_rng(seed)
    vector.reset(seed)
    total, over = np.zeros(episodes), np.zeros(episodes, np.bool_)
    while not over.all():
        result = vector.step(rng.integers(vector.spec.num_actions, size=episodes))
        total += np.where(over, 0.0, result.reward)
        over |= result.terminated | result.truncated
    vector.close()
    return float(total.mean())


if __name__ == "__main__":
    for name, task in TASKS.items():
        print(f"{name}: {mean_return(task):.2f}")
