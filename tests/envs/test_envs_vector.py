"""Bad input and bad output stop at the door: an error instead of a hang or of a poisoned replay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box
from numpy.typing import NDArray

from r2d2.envs.observations import parts_of
from r2d2.envs.vector import MAX_SEED, Checked, EnvSpec, StepResult

N = 3


class FakeEnv:
    """Three slots that do as they are told and remember what reached them."""

    num_envs = N

    def __init__(self, reward: float = 0.0, pixel: float = 0.0, terminated: bool = False) -> None:
        self.spec = EnvSpec("Fake-v0", parts_of(Box(-1, 1, (2,)), "Fake-v0"), 4, 10)
        self.reward, self.pixel, self.terminated = reward, pixel, terminated
        self.calls: list[Any] = []

    def reset(self, seed: int) -> NDArray[np.float32]:
        self.calls.append(seed)
        return np.zeros((N, 2), dtype=np.float32)

    def step(self, action: NDArray[np.int64]) -> StepResult:
        self.calls.append(action)
        observation = np.zeros((N, 2), dtype=np.float32)
        observation[1, 1] = self.pixel
        reward = np.array([0.0, 0.0, self.reward], dtype=np.float32)
        return StepResult(
            observation,
            reward,
            np.full(N, self.terminated),
            np.ones(N, dtype=np.bool_),
            np.zeros(N, dtype=np.bool_),
        )

    def close(self) -> None:
        self.calls.append("close")


def ready(**kwargs: Any) -> tuple[Checked, FakeEnv]:
    fake = FakeEnv(**kwargs)
    env = Checked(fake)
    env.reset(0)
    fake.calls.clear()
    return env, fake


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.array([0, 4, 0]), r"action must be in \[0, num_actions=4\), got 4 in slot 1"),
        (np.array([0, 0, -1]), r"got -1 in slot 2"),
        (np.array([0, 0]), r"shape \(3,\)"),
        (np.zeros((N, 1), dtype=np.int64), r"shape \(3,\)"),
        (np.zeros(N), r"integer array, got float64"),
        (np.zeros(N, dtype=np.bool_), r"integer array, got bool"),
        ([0, 0, 0], r"integer array, got list"),
    ],
)
def test_invalid_action_is_an_error_and_never_reaches_the_environment(action: Any, message: str) -> None:
    env, fake = ready()
    with pytest.raises(ValueError, match=message):
        env.step(action)
    assert fake.calls == []


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_actions_of_any_integer_type_arrive_as_int64(dtype: type) -> None:
    env, fake = ready()
    env.step(np.array([3, 0, 1], dtype=dtype))
    assert fake.calls[0].dtype == np.int64
    assert fake.calls[0].tolist() == [3, 0, 1]


def test_step_before_reset_and_use_after_close_are_errors() -> None:
    fake = FakeEnv()
    env = Checked(fake)
    with pytest.raises(RuntimeError, match="before reset"):
        env.step(np.zeros(N, dtype=np.int64))
    env.close()
    env.close()
    with pytest.raises(RuntimeError, match="after close"):
        env.reset(0)
    assert fake.calls == ["close"]


@pytest.mark.parametrize("seed", [-1, MAX_SEED, 2**40, 1.5, None])
def test_a_seed_that_would_mean_unseeded_is_refused(seed: Any) -> None:
    env, fake = ready()
    with pytest.raises(ValueError, match="seed must be"):
        env.reset(seed)
    assert fake.calls == []


def test_a_numpy_seed_is_a_seed() -> None:
    env, fake = ready()
    env.reset(np.int64(7))  # type: ignore[arg-type]
    assert fake.calls == [7]
    assert type(fake.calls[0]) is int


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_reward_or_observation_that_is_not_finite_names_environment_and_slot(bad: float) -> None:
    env, _ = ready(reward=bad)
    with pytest.raises(ValueError, match=r"reward must be finite.*slot 2 of Fake-v0"):
        env.step(np.zeros(N, dtype=np.int64))
    env, _ = ready(pixel=bad)
    with pytest.raises(ValueError, match=r"observation must be finite.*slot 1 of Fake-v0"):
        env.step(np.zeros(N, dtype=np.int64))


@pytest.mark.parametrize("terminated", [True, False])
def test_termination_wins_over_a_time_limit_at_the_same_step(terminated: bool) -> None:
    env, _ = ready(terminated=terminated)
    result = env.step(np.zeros(N, dtype=np.int64))
    assert (result.terminated == terminated).all()
    assert (result.truncated != terminated).all()
