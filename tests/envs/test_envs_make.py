"""Ids become environments: gymnasium's, filmed ones, and errors that say what would work."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, Text
from numpy.typing import NDArray

from r2d2.envs.make import make, make_single
from r2d2.envs.vector import EnvError


class Stub(gym.Env[Any, Any]):
    """Shows its step count as observation; the action must be 5 or 6; ends after three steps."""

    def __init__(self, observation_space: gym.Space[Any], render_mode: str | None = None) -> None:
        self.observation_space = observation_space
        self.action_space = Discrete(2, start=5)
        self.render_mode = render_mode
        self._t = 0

    def _shown(self) -> Any:
        space = self.observation_space
        if isinstance(space, Discrete):
            return int(space.start) + self._t
        return np.full(space.shape, self._t, dtype=space.dtype)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._t = 0
        return self._shown(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._t += 1
        return self._shown(), float(action), self._t == 3, False, {}


@pytest.fixture(autouse=True)
def stub_id() -> Any:
    gym.register("Stub-v0", entry_point=lambda **options: Stub(**options), max_episode_steps=7)
    yield
    del gym.registry["Stub-v0"]


def test_cartpole_equals_single_environments_across_episodes() -> None:
    """Observation, reward and end of each slot, the final observation and the reset after it included."""
    env = make("CartPole-v1", 3)
    assert (env.spec.observation_shape, env.spec.observation_dtype) == ((4,), "float32")
    assert (env.spec.num_actions, env.spec.max_episode_steps) == (2, 500)
    singles = [gym.make("CartPole-v1") for _ in range(3)]
    first = env.reset(11)
    for slot, single in enumerate(singles):
        np.testing.assert_array_equal(first[slot], single.reset(seed=11 + slot)[0])
    done, ends = np.zeros(3, dtype=np.bool_), 0
    for action in np.random.default_rng(0).integers(0, 2, (150, 3)):
        result = env.step(action)
        for slot, single in enumerate(singles):
            row: Any = (single.reset()[0], 0.0, False, False) if done[slot] else single.step(action[slot])
            np.testing.assert_array_equal(result.observation[slot], row[0])
            assert (result.reward[slot], result.terminated[slot], result.truncated[slot]) == row[1:4]
        done = result.terminated | result.truncated
        ends += done.sum()
    assert result.observation.dtype == result.reward.dtype == np.float32
    assert ends >= 3
    assert not result.life_lost.any()


def test_a_time_limit_truncates_and_can_be_set() -> None:
    env = make("MountainCar-v0", 2, options={"max_episode_steps": 5})
    assert env.spec.max_episode_steps == 5
    env.reset(0)
    results = [env.step(np.ones(2, dtype=np.int64)) for _ in range(5)]
    assert [bool(result.truncated.all()) for result in results] == [False] * 4 + [True]
    assert not results[-1].terminated.any()


def test_a_reset_in_mid_episode_and_after_a_done_restarts_every_slot() -> None:
    env = make("Stub-v0", 2, options={"observation_space": Box(0, 9, (1,), np.uint8)})
    for steps in (2, 3):
        assert env.reset(0).tolist() == [[0], [0]]
        for t in range(steps):
            assert env.step(np.zeros(2, dtype=np.int64)).observation.tolist() == [[t + 1], [t + 1]]
    assert env.reset(0).tolist() == [[0], [0]]
    assert env.step(np.zeros(2, dtype=np.int64)).observation.tolist() == [[1], [1]]


@pytest.mark.parametrize(
    ("space", "shape", "dtype"),
    [
        (Box(0, 255, (5, 6, 3), np.uint8), (5, 6, 3), "uint8"),
        (Box(0, 9, (4,), np.float64), (4,), "float32"),
        (Box(-9, 9, (2, 2), np.int32), (2, 2), "float32"),
        (Box(0, 9, (2, 2), np.int32), (2, 2), "uint8"),
        (Discrete(4, start=2), (4,), "float32"),
    ],
)
def test_bytes_and_small_whole_numbers_are_bytes_and_all_else_float32(
    space: gym.Space[Any], shape: tuple[int, ...], dtype: str
) -> None:
    env = make("Stub-v0", 2, options={"observation_space": space})
    assert (env.spec.observation_shape, env.spec.observation_dtype) == (shape, dtype)
    env.reset(0)
    result = env.step(np.array([0, 1]))
    expected = np.eye(4)[1] if isinstance(space, Discrete) else np.ones(shape)
    assert result.observation.dtype == np.dtype(dtype)
    assert result.observation.tolist() == [expected.tolist()] * 2


def test_actions_count_from_zero_whatever_the_environment_calls_them() -> None:
    env = make("Stub-v0", 2, options={"observation_space": Box(0, 9, (1,))})
    env.reset(0)
    assert env.step(np.array([0, 1])).reward.tolist() == [5.0, 6.0]


def test_observations_belong_to_the_caller() -> None:
    env = make("Stub-v0", 2, options={"observation_space": Box(0, 9, (1,), np.float32)})
    first = env.reset(0)
    second = env.step(np.zeros(2, dtype=np.int64))
    env.step(np.zeros(2, dtype=np.int64))
    assert (first == 0).all()
    assert (second.observation == 1).all()


@pytest.mark.parametrize(
    ("env_id", "options", "message"),
    [
        ("Pong", {}, "'ALE/Pong-v5'"),
        ("pong-v5", {}, "'ALE/Pong-v5'"),
        ("CartPole", {}, "'CartPole-v1'"),
        ("Recal-v0", {}, "'Recall-v0'"),
        ("Qwxyz-v3", {}, "accepted are Atari games"),
        ("no_such_package:Task-v0", {}, "there is no module 'no_such_package'"),
        ("Stub-v0", {"observation_space": Text(4)}, "observation space Text.*must be a Box"),
        ("CartPole-v1", {"gravity": 3}, "no option 'gravity'.*options are sutton_barto_reward"),
        ("CartPole-v1", {"suton_barto_reward": 1}, "did you mean 'sutton_barto_reward'"),
        ("FrozenLake-v1", {"map": "8x8"}, "options are desc, map_name, is_slippery"),
        ("Recall-v0", {"delay": -1}, r"delay must be a whole number in \[0"),
    ],
)
def test_what_cannot_be_built_is_one_error_that_says_what_would_work(
    env_id: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(EnvError, match=message):
        make(env_id, 2, options=options)


@pytest.mark.parametrize("num_envs", [0, -1, 2.0, True])
def test_a_vector_needs_a_slot(num_envs: Any) -> None:
    with pytest.raises(EnvError, match="num_envs must be an integer of at least 1"):
        make("CartPole-v1", num_envs)


@pytest.mark.parametrize("protocol", ["paper", "machado"])
@pytest.mark.parametrize("size", [84, 42])
def test_a_filmed_atari_game_is_a_slot_of_the_vector_bit_for_bit(protocol: str, size: int) -> None:
    pytest.importorskip("ale_py")
    vector = make("ALE/Breakout-v5", 2, protocol=protocol, frame_size=size, threads=1)
    single = make_single("ALE/Breakout-v5", protocol=protocol, frame_size=size)
    assert (single.spec, single.num_envs) == (vector.spec, 1)
    np.testing.assert_array_equal(vector.reset(4)[1], single.reset(5)[0])
    ends = 0
    for action in np.random.default_rng(0).integers(0, 18, (250, 2)):
        both, alone = vector.step(action), single.step(action[1:])
        assert all(np.array_equal(left[1], right[0]) for left, right in zip(both, alone, strict=True))
        ends += alone.terminated[0]
    assert ends >= 1


def test_a_film_shows_the_screen_of_the_game() -> None:
    pytest.importorskip("ale_py")
    from atari_twin import SlowAtari

    single = make_single("ALE/MsPacman-v5", options={"max_noops": 0})
    with pytest.raises(RuntimeError, match="before reset"):
        single.rgb_frame()
    single.reset(0)
    twin = SlowAtari("MsPacman", 84)
    twin.reset()
    np.testing.assert_array_equal(single.rgb_frame(), twin.rgb())
    for action in np.random.default_rng(0).integers(0, 18, 70):
        single.step(np.array([action]))
        twin.step(int(action))
        frame = single.rgb_frame()
        assert frame.shape == (210, 160, 3)
        assert frame.dtype == np.uint8
        assert (frame >= twin.rgb()).all()  # the maximum of this frame and the one before
        assert (frame == twin.rgb()).mean() > 0.95


def test_a_film_of_a_gymnasium_task_and_one_that_cannot_be_filmed() -> None:
    single = make_single("Recall-v0", options={"delay": 3})
    vector = make("Recall-v0", 1, options={"delay": 3})
    np.testing.assert_array_equal(single.reset(2), vector.reset(2))
    frame: NDArray[np.uint8] = single.rgb_frame()
    assert (frame.ndim, frame.shape[-1]) == (3, 3)
    with pytest.raises(EnvError, match="cannot be filmed"):
        make_single("Stub-v0", options={"observation_space": Box(0, 9, (1,))})
