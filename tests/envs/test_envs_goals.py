"""Laws of goal tasks: dicts, vectors and single environments agree, and rewards are those of their goals."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

from r2d2.envs.goals import KEYS, BitFlipping, GoalParts
from r2d2.envs.make import make, make_single
from r2d2.envs.vector import EnvError

IDS = pytest.mark.parametrize("env_id", ["BitFlipping-v0", "BlindBitFlipping-v0"])
N, BITS = 5, 4


def flat(observation: dict[str, NDArray]) -> NDArray:
    return np.concatenate([observation[key] for key in KEYS], -1)


@IDS
def test_gymnasium_accepts_the_single_and_the_vector(env_id: str) -> None:
    check_env(gym.make(env_id, render_mode="rgb_array", bits=BITS).unwrapped)
    vector = gym.make_vec(env_id, 3, vectorization_mode="vector_entry_point", bits=BITS)
    for seed in range(2):
        assert vector.reset(seed=seed)[0] in vector.observation_space
    assert vector.metadata["autoreset_mode"] == gym.vector.AutoresetMode.NEXT_STEP
    film = make_single(env_id, options={"bits": BITS})
    film.reset(0)
    assert film.rgb_frame().shape == (16, 16 * film.spec.observation_shape[0], 3)


@IDS
def test_slot_i_is_the_single_environment_with_seed_plus_i(env_id: str) -> None:
    """Over many episodes; a flat observation is the dict's parts in order."""
    vector = make(env_id, N, options={"bits": BITS})
    singles: list[Any] = [gym.make(env_id, disable_env_checker=True, bits=BITS) for _ in range(N)]
    shown = np.stack([flat(single.reset(seed=7 + slot)[0]) for slot, single in enumerate(singles)])
    np.testing.assert_array_equal(vector.reset(7), shown)
    done, ends = np.zeros(N, np.bool_), np.zeros(2, int)
    for action in np.random.default_rng(0).integers(0, BITS, (300, N)):
        result = vector.step(action)
        for slot, single in enumerate(singles):
            row: Any = (single.reset()[0], 0.0, False, False) if done[slot] else single.step(action[slot])
            np.testing.assert_array_equal(result.observation[slot], flat(row[0]))
            assert (result.reward[slot], result.terminated[slot], result.truncated[slot]) == row[1:4]
        done = result.terminated | result.truncated
        ends += result.terminated.sum(), result.truncated.sum()
    assert ends.min() > 20


@IDS
def test_rewards_are_those_of_the_goals_and_can_be_computed_again(env_id: str) -> None:
    """In each step, and as `spec.goals` and the environment itself compute them from what it shows."""
    vector = make(env_id, 8, options={"bits": BITS})
    goals, single = vector.spec.goals, gym.make(env_id, bits=BITS).unwrapped
    assert goals is not None
    assert goals.size == BITS
    observation, done, found = vector.reset(0), np.zeros(8, np.bool_), 0
    for action in np.random.default_rng(1).integers(0, BITS, (200, 8)):
        before, (observation, reward, terminated, truncated, _) = observation, vector.step(action)
        desired, achieved = observation[:, -2 * BITS : -BITS], observation[:, -BITS:]
        stepped = ~done
        flips = (achieved != before[:, -BITS:])[stepped]
        np.testing.assert_array_equal(flips, np.eye(BITS)[action[stepped]])
        there = (achieved == desired).all(1)
        np.testing.assert_array_equal(reward[stepped], there[stepped] - 1.0)
        np.testing.assert_array_equal(terminated[stepped], there[stepped])
        for compute in (
            goals.outcome,
            lambda *pair: [f(*pair, {}) for f in (single.compute_reward, single.compute_terminated)],
        ):  # type: ignore[attr-defined]
            again = compute(achieved, desired)
            np.testing.assert_array_equal(again[0], there - 1.0)
            np.testing.assert_array_equal(again[1], there)
        found += int(there.sum())
        done = terminated | truncated
    assert found > 50


def test_the_bits_of_the_blind_task_are_seen_once() -> None:
    """What the agent sees after the first step says nothing of the bits; the goal stays."""
    env = make("BlindBitFlipping-v0", 64, options={"bits": BITS})
    first = env.reset(0)
    np.testing.assert_array_equal(first[:, :BITS], first[:, -BITS:])
    assert (first[:, BITS] == 1).all()
    result = env.step(np.zeros(64, np.int64))
    running = ~(result.terminated | result.truncated)
    assert (result.observation[running, : BITS + 1] == 0).all()
    goal = slice(BITS + 1, 2 * BITS + 1)
    np.testing.assert_array_equal(result.observation[running, goal], first[running, goal])


@pytest.mark.parametrize("bits", [3, 15])
def test_flipping_what_differs_always_succeeds_and_chance_almost_never(bits: int) -> None:
    task = BitFlipping(2000, bits=bits)
    for policy, low, high in (("best", 1.0, 1.0), ("random", 0.0, 5.0 * bits / 2**bits)):
        rng, success = np.random.default_rng(0), np.zeros(2000, np.bool_)
        for slot in range(2000):
            task.begin(slot, rng)
        start = (task._state == task._goal).all(1)  # an even number of flips is needed there: 2
        for _ in range(bits):
            differs = task._state != task._goal
            action = differs.argmax(1) if policy == "best" else rng.integers(bits, size=2000)
            success |= task.act(action).terminated
        assert low <= success.mean() <= high, policy
        assert start.mean() < 0.2


class Point(gym.Env[Any, Any]):
    """A goal environment of somebody else's: float64, one goal at a time, actions from 1, no end at the goal."""

    def __init__(self, observation_space: gym.Space[Any] | None = None) -> None:
        line = Box(-10.0, 10.0, (1,), np.float64)
        parts = {"achieved_goal": line, "desired_goal": line, "observation": Box(-1.0, 1.0, (2,))}
        self.observation_space = observation_space or Dict(parts)
        self.action_space = Discrete(2, start=1)
        self.at = 0.0

    def shown(self) -> dict[str, NDArray]:
        return {
            "achieved_goal": np.array([self.at]),
            "desired_goal": np.array([2.0]),
            "observation": np.ones(2),
        }

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        self.at = 0.0
        return self.shown(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.at += float(action) - 1.0
        reward = self.compute_reward(np.array([self.at]), np.array([2.0]), {})
        return self.shown(), reward, False, False, {}

    def compute_reward(self, achieved: Any, desired: Any, info: Any) -> float:
        return 0.0 if abs(achieved - desired) < 0.5 else -1.0  # fails for arrays of more than one


@pytest.fixture
def point_id() -> Any:
    gym.register("Point-v0", entry_point=Point, max_episode_steps=7)
    yield "Point-v0"
    del gym.registry["Point-v0"]


def test_any_goal_environment_with_discrete_actions_is_accepted(point_id: str) -> None:
    env = make(point_id, 3)
    assert (env.spec.observation_shape, env.spec.observation_dtype) == ((4,), "float32")
    np.testing.assert_array_equal(env.reset(0), [[1, 1, 2, 0]] * 3)
    np.testing.assert_array_equal(env.step(np.array([0, 1, 1])).observation[:, 3], [0, 1, 1])
    assert env.spec.goals is not None
    reward, over = env.spec.goals.outcome(
        np.array([[0.0], [2.2]], np.float32), np.full((2, 1), 2, np.float32)
    )
    assert (reward.tolist(), over.tolist()) == ([-1.0, 0.0], [False, False])


def test_other_dicts_have_a_column_for_each_part_and_no_goals(point_id: str) -> None:
    line, image = Box(-1.0, 1.0, (1,)), Box(0, 1, (4, 4))
    for parts in (
        {"achieved_goal": line, "desired_goal": Box(-1.0, 1.0, (2,)), "observation": line},
        {"achieved_goal": line, "desired_goal": line, "observation": image},
        {"achieved_goal": line, "observation": line},
    ):
        spec = make(point_id, 1, options={"observation_space": Dict(parts)}).spec
        assert {part.name for part in spec.parts} == {f"observation/{key}" for key in parts}
        assert spec.goals is None


def test_flicker_and_too_few_bits_are_refused() -> None:
    with pytest.raises(EnvError, match="has goals, which flicker would blank"):
        make("BitFlipping-v0", 1, options={"flicker": 0.5})
    with pytest.raises(EnvError, match=r"bits must be a whole number in \[2, 1000\], got 1"):
        make("BitFlipping-v0", 1, options={"bits": 1})


def test_parts_are_the_whole() -> None:
    parts = GoalParts(Box(0.0, 1.0, (7,), np.float32), 2)
    split = parts(np.arange(14, dtype=np.float32).reshape(2, 7))
    assert {key: value.shape[1] for key, value in split.items()} == {
        "observation": 3,
        "desired_goal": 2,
        "achieved_goal": 2,
    }
    assert flat(split).tolist() == np.arange(14.0).reshape(2, 7).tolist()
