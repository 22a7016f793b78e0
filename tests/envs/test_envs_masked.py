"""The masked control tasks are Gymnasium's, seen without velocities, and one observation more solves them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from r2d2.envs.make import make


@pytest.mark.parametrize(
    ("ours", "theirs", "hidden"),
    [("MaskedPendulum-v0", "Pendulum-v1", [0, 1]), ("MaskedMountainCar-v0", "MountainCar-v0", [0])],
)
def test_the_dynamics_are_gymnasiums_over_whole_episodes(ours: str, theirs: str, hidden: list[int]) -> None:
    """With the same seed: observations, rewards and both kinds of end, in single precision."""
    env, masked = make(ours, 3, options={"velocities": 1}), make(ours, 3)
    singles = [gym.make(theirs) for _ in range(3)]
    observation = env.reset(5)
    np.testing.assert_array_equal(masked.reset(5), observation[:, hidden])
    for slot, single in enumerate(singles):
        np.testing.assert_allclose(observation[slot], single.reset(seed=5 + slot)[0], rtol=1e-6, atol=1e-7)
    done, ends = np.zeros(3, dtype=np.bool_), np.zeros(2, dtype=np.int64)
    rng = np.random.default_rng(0)
    for t in range(700):
        action = rng.integers(0, env.spec.num_actions, 3)
        if t > 350 and theirs == "MountainCar-v0":  # push the way it moves: that arrives
            action = np.where(observation[:, 1] < 0, 0, 2)
        result, blind = env.step(action), masked.step(action)
        np.testing.assert_array_equal(blind.observation, result.observation[:, hidden])
        for slot, single in enumerate(singles):
            torque = np.array([action[slot] - 2.0], np.float32)
            chosen: Any = torque if theirs == "Pendulum-v1" else action[slot]
            row: Any = (single.reset()[0], 0.0, False, False) if done[slot] else single.step(chosen)
            np.testing.assert_allclose(result.observation[slot], row[0], rtol=2e-5, atol=2e-5)
            np.testing.assert_allclose(result.reward[slot], row[1], rtol=1e-4, atol=1e-4)
            assert (result.terminated[slot], result.truncated[slot]) == row[2:4]
        done, observation = result.terminated | result.truncated, result.observation
        ends += [result.terminated.sum(), result.truncated.sum()]
    assert ends[1] > 2
    assert ends[0] > 2 or theirs == "Pendulum-v1"


def test_one_remembered_position_drives_the_car_up_the_hill() -> None:
    env = make("MaskedMountainCar-v0", 64)
    before = observation = env.reset(0)
    total, over = np.zeros(64), np.zeros(64, dtype=np.bool_)
    for _ in range(200):
        action = np.where(observation[:, 0] < before[:, 0], 0, 2)
        before, result = observation, env.step(action)
        observation = result.observation
        total += np.where(over, 0.0, result.reward)
        over |= result.terminated | result.truncated
    assert over.all()
    assert total.mean() > -130
