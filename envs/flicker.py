"""Flickering observations: each is blanked with a given probability, so one observation is not enough.

Hausknecht & Stone 2015 (arXiv 1507.06527) blank Atari frames with probability 0.5.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.envs.memory.task import check_probability
from r2d2.envs.vector import EnvError, Observation, StepResult, VectorEnv, each

DRAWN_AHEAD = 256  # steps that one call of each slot's generator draws; ours
STREAM = (
    0xF11C  # ours: separates the flicker's random numbers from the environment's, which have the same seed
)


class Flickering:
    """An environment whose observations are all zeros with `probability`, independently per slot and step.

    First and final observations flicker too; rewards and flags do not. Slot i of seed s flickers like slot 0 of
    seed s + i, whatever the actions are.
    """

    def __init__(self, env: VectorEnv, probability: float) -> None:
        self._env = env
        self._probability = probability
        self.spec = env.spec
        self.num_envs = env.num_envs
        self._rngs: list[np.random.Generator] = []
        self._blank = np.zeros((DRAWN_AHEAD, env.num_envs), dtype=np.bool_)
        self._time = 0  # observations since the reset

    def reset(self, seed: int) -> Observation:
        """Restarts every slot and its flicker, slot i from seed + i."""
        self._rngs = [np.random.default_rng([seed + slot, STREAM]) for slot in range(self.num_envs)]
        self._time = 0
        return self._blanked(self._env.reset(seed))

    def step(self, action: NDArray[np.int64]) -> StepResult:
        """Acts once in every slot."""
        result = self._env.step(action)
        return result._replace(observation=self._blanked(result.observation))

    def close(self) -> None:
        """Closes the environment."""
        self._env.close()

    def _blanked(self, observation: Observation) -> Observation:
        row = self._time % DRAWN_AHEAD
        if row == 0:
            for slot, rng in enumerate(self._rngs):
                self._blank[:, slot] = rng.random(DRAWN_AHEAD) < self._probability
        self._time += 1
        blank = self._blank[row]

        def part(values: NDArray[Any]) -> NDArray[Any]:
            return np.where(blank.reshape(-1, *[1] * (values.ndim - 1)), values.dtype.type(0), values)

        return each(part, observation)


def flickering(env: VectorEnv, probability: float) -> VectorEnv:
    """Adds flicker to an environment, none for probability 0; raises EnvError unless it is a probability."""
    probability = check_probability("flicker", probability, "Hausknecht & Stone 2015 have 0.5")
    if probability and env.spec.goals is not None:
        raise EnvError(
            f"{env.spec.id} has goals, which flicker would blank with the rest: leave the option out"
        )
    return env if probability == 0.0 else Flickering(env, probability)
