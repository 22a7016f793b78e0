"""What studies share of peers: agents of Stable-Baselines3 and sb3-contrib, evaluated as our runs are."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEEDS_APART = 1_000_000  # evaluation episodes start from seeds that training does not use


def returns(model: Any, environments: Any, seed: int, normalize: Any = None) -> NDArray[np.float64]:
    """The return of one greedy episode in each of the environments, a `VecEnv`, which is closed."""
    count = environments.num_envs
    environments.seed(seed)
    observation = environments.reset()
    state, first = None, np.ones(count, np.bool_)
    total, over = np.zeros(count), np.zeros(count, np.bool_)
    while not over.all():
        seen = observation if normalize is None else normalize.normalize_obs(observation)
        action, state = model.predict(seen, state=state, episode_start=first, deterministic=True)
        observation, reward, first, _ = environments.step(action)
        total += np.where(over, 0.0, reward)
        over |= first
    environments.close()
    return total


def learn(
    model: Any,
    evaluate: Callable[[], float],
    file: Path,
    *,
    period: int,
    steps: int,
    seconds: float = 0.0,
    most: int = 0,
) -> None:
    """Train for the steps and the CPU seconds, whichever takes longer, at most for `most` steps if it is given.

    FILE gets one JSON line for each evaluation, every `period` steps and at the end.
    """
    from stable_baselines3.common.callbacks import BaseCallback

    lines: list[dict[str, float]] = []
    began = time.perf_counter(), time.process_time()

    class Evaluate(BaseCallback):
        due = period

        def _on_step(self) -> bool:
            over = self.num_timesteps >= steps and time.process_time() - began[1] >= seconds
            if self.num_timesteps >= self.due or over:
                self.due = self.num_timesteps + period
                line = {"env_steps": self.num_timesteps, "score": evaluate()}
                line["wall_seconds"] = time.perf_counter() - began[0]
                lines.append(line | {"cpu_seconds": time.process_time() - began[1]})
            return not over

    model.learn(most or steps, callback=Evaluate())
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".tmp")
    unfinished.write_text("".join(json.dumps(line) + "\n" for line in lines))
    unfinished.rename(file)
