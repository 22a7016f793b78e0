"""The masked control tasks are Gymnasium's, seen without velocities, and one observation more solves them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from r2d2.envs.make import make
from r2d2.envs.memory.acrobot import MaskedAcrobotContinuous


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


@pytest.mark.parametrize(
    ("ours", "theirs", "hidden"),
    [
        ("MaskedPendulumContinuous-v0", "Pendulum-v1", [0, 1]),
        ("MaskedMountainCarContinuous-v0", "MountainCarContinuous-v0", [0]),
    ],
)
def test_the_continuous_dynamics_are_gymnasiums(ours: str, theirs: str, hidden: list[int]) -> None:
    """With the same seed and the same vectors, over whole episodes."""
    env, masked, plain = make(ours, 2, options={"velocities": 1}), make(ours, 2), make(theirs, 2)
    observation = env.reset(5)
    np.testing.assert_allclose(observation, plain.reset(5), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(masked.reset(5), observation[:, hidden])
    rng, ends = np.random.default_rng(0), np.zeros(2, np.int64)
    for t in range(1300):
        action = (rng.integers(-8, 9, (2, 1)) / 8).astype(
            np.float32
        )  # exact in single precision, as theirs is
        if t > 200 and "Car" in ours:  # push the way it moves: that arrives
            action = np.sign(observation[:, 1:2])
        mine, blind, own = (one.step(action) for one in (env, masked, plain))
        observation = mine.observation
        np.testing.assert_array_equal(blind.observation, observation[:, hidden])
        np.testing.assert_allclose(
            observation, own.observation, atol=2e-3
        )  # their torques are in single precision
        np.testing.assert_allclose(mine.reward, own.reward, atol=2e-3)
        np.testing.assert_array_equal(mine.terminated, own.terminated)
        np.testing.assert_array_equal(mine.truncated, own.truncated)
        ends += [mine.terminated.sum(), mine.truncated.sum()]
    assert ends.sum() > 2


def test_the_acrobots_dynamics_are_gymnasiums() -> None:
    """Step by step from the same states: the pendulum is chaotic, so rounding would part whole episodes."""
    task, masked = MaskedAcrobotContinuous(3, velocities=1), MaskedAcrobotContinuous(3)
    single: Any = gym.make("Acrobot-v1")
    rngs = [np.random.default_rng(slot) for slot in range(3)]
    single.reset(seed=0)
    for slot, rng in enumerate(rngs):
        task.begin(slot, rng)
    ends = np.zeros(2, np.int64)
    for _ in range(600):
        observed, before = task.observe(), task._state.T.copy()
        torque = np.sign(observed[:, 5:6])  # the way the second link turns: that swings it up
        torque[0] = rngs[0].integers(-1, 2)
        found = task.act(torque.astype(np.float32))
        for slot in range(3):
            single.unwrapped.state = before[slot]
            seen, reward, up, _, _ = single.unwrapped.step(int(torque[slot, 0]) + 1)
            np.testing.assert_allclose(task.observe()[slot], seen, rtol=1e-5, atol=1e-5)
            assert (found.reward[slot], found.terminated[slot]) == (reward, up)
        masked._state = task._state
        np.testing.assert_array_equal(masked.observe(), task.observe()[:, :4])
        for slot in range(3):
            if found.terminated[slot] or found.truncated[slot]:
                task.begin(slot, rngs[slot])
        ends += [found.terminated.sum(), found.truncated.sum()]
    assert (ends > 0).all(), ends


def test_noise_hides_the_pendulum_and_changes_nothing_else() -> None:
    options = {"noise": 0.3}
    noisy, clean = (
        make("MaskedPendulumContinuous-v0", 64, options=options),
        make("MaskedPendulumContinuous-v0", 64),
    )
    difference = [noisy.reset(3) - clean.reset(3)]
    action = np.zeros((64, 1), np.float32)
    for _ in range(100):
        a, b = noisy.step(action), clean.step(action)
        difference.append(a.observation - b.observation)
        np.testing.assert_array_equal(a.reward, b.reward)
    assert np.std(difference) == pytest.approx(0.3, rel=0.05)


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
