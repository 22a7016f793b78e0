"""Environments that do not keep gymnasium's rules: what is exact is taken, all else is named, with the call."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

from r2d2.envs.make import make
from r2d2.envs.vector import EnvError

FLOAT = Box(-9, 9, (2,))


class Odd(gym.Env[Any, Any]):
    """Answers what it was told to."""

    action_space = Discrete(2)

    def __init__(self, reset: Any = None, step: Any = None, space: Any = FLOAT, seen: Any = None) -> None:
        self.observation_space = space
        self.seen = np.zeros(2, np.float32) if seen is None else seen
        usual = (self.seen, 0.0, False, False, {})
        self.answers = ((self.seen, {}) if reset is None else reset, usual if step is None else step)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.answers[0]

    def step(self, action: Any) -> Any:
        return self.answers[1]


@pytest.fixture(autouse=True)
def odd_id() -> Any:
    gym.register("Odd-v0", entry_point=lambda **options: Odd(**options), max_episode_steps=9)
    gym.register("Free-v0", entry_point=lambda **options: Odd(**options))
    yield
    del gym.registry["Odd-v0"], gym.registry["Free-v0"]


def stepped(env_id: str = "Odd-v0", **options: Any) -> Any:
    env = make(env_id, 2, options=options)
    env.reset(0)
    return env.step(np.zeros(2, np.int64))


SEEN = np.zeros(2, np.float32)


@pytest.mark.parametrize("env_id", ["Odd-v0", "Free-v0"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reset": SEEN}, r"reset of .* \(slot 0\).*reset\(seed=\.\.\., options=\.\.\.\) returns"),
        ({"reset": (SEEN, SEEN)}, "reset of .*must return 2 values"),
        ({"reset": (SEEN, {}, 3)}, "reset of .*"),
        ({"step": (SEEN, 0.0, False, {})}, r"step of .* \(slot 0\) .*terminated, truncated, info\): rewrite"),
        ({"step": SEEN}, "step of .*terminated, truncated, info"),
        ({"step": 7}, "step of .*terminated, truncated, info"),
    ],
)
def test_an_old_api_names_environment_call_and_remedy(env_id: str, options: Any, message: str) -> None:
    with pytest.raises(EnvError, match=message):
        stepped(env_id, **options)


def test_a_reset_without_a_seed_is_of_an_old_api() -> None:
    class Seedless(Odd):
        def reset(self) -> Any:  # type: ignore[override]
            return self.answers[0]

    gym.register("Seedless-v0", entry_point=lambda **_: Seedless())
    with pytest.raises(
        EnvError, match="reset of Seedless-v0.*unexpected keyword argument.*rewrite these two"
    ):
        stepped("Seedless-v0")
    del gym.registry["Seedless-v0"]


def test_errors_inside_the_environment_pass_as_they_are() -> None:
    """Also those that sound like an old API's."""

    class Failing(Odd):
        def step(self, action: Any) -> Any:
            one, two, three = self.answers  # not enough values to unpack
            return one, two, three

    gym.register("Failing-v0", entry_point=lambda **_: Failing())
    with pytest.raises(ValueError, match="not enough values") as found:
        stepped("Failing-v0")
    assert not isinstance(found.value, EnvError)
    del gym.registry["Failing-v0"]


def test_infos_may_hold_anything() -> None:
    class Chatty(Odd):
        time = 0

        def step(self, action: Any) -> Any:
            self.time += 1
            kinds = [np.zeros(self.time), "word", None, {"a": [1]}, np.float32(3), [1, "b"]]
            return SEEN, 0.0, self.time % 3 == 0, False, {"x": kinds[self.time % 6], str(self.time): 1}

        def reset(self, **_: Any) -> Any:
            return SEEN, {"x": [[1], [2, 3]], "action_mask": np.ones(self.time)}

    gym.register("Chatty-v0", entry_point=lambda **_: Chatty())
    env = make("Chatty-v0", 3)
    env.reset(0)
    for _ in range(20):
        env.step(np.zeros(3, np.int64))
    del gym.registry["Chatty-v0"]


@pytest.mark.parametrize("reward", [3, 3.0, np.float64(3), np.array([3.0]), np.array([[3]]), np.int8(3)])
def test_a_reward_may_be_any_single_number(reward: Any) -> None:
    assert stepped(step=(SEEN, reward, False, False, {})).reward.tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            (SEEN, np.zeros(2), False, False, {}),
            r"reward of step of Odd-v0 \(slot 0\) must be a number.*float64 \[2\]",
        ),
        ((SEEN, None, False, False, {}), "reward of step of Odd-v0.*got None"),
        ((SEEN, "much", False, False, {}), "reward of step.*got 'much'"),
        ((SEEN, 1j, False, False, {}), "reward of step.*1j"),
        (
            (SEEN, np.nan, False, False, {}),
            "reward must be finite, got nan in slot 0 of Odd-v0.*returned by step",
        ),
        ((SEEN, 0.0, None, False, {}), "terminated of step of Odd-v0.*must be True or False, got None"),
        ((SEEN, 0.0, False, {}, {}), "truncated of step of Odd-v0.*must be True or False, got a dict"),
    ],
)
def test_rewards_and_flags_that_are_none_are_named(step: Any, message: str) -> None:
    with pytest.raises(EnvError, match=message):
        stepped(step=step)


@pytest.mark.parametrize(
    ("space", "seen", "message"),
    [
        (
            FLOAT,
            np.zeros(3, np.float32),
            r"observation that reset of Odd-v0 \(slot 0\) returned is float32 \[3\], not in",
        ),
        (FLOAT, np.zeros((1, 2), np.float32), r"float32 \[1, 2\]"),
        (FLOAT, [[1.0], [1.0, 2.0]], "a list of 2"),
        (FLOAT, {}, "a dict of 0"),
        (FLOAT, "ab", "'ab'"),
        (Box(0, 255, (2,), np.uint8), np.array([0.5, 1.0]), r"float64 \[2\], not in its space Box\(0, 255"),
        (Box(0, 255, (2,), np.uint8), np.array([-1, 1]), "int64"),
        (Discrete(3), 3, "3, not in its space Discrete"),
        (Discrete(3, start=1), 0, "0, not in"),
        (Discrete(3), 1.5, "1.5"),
        (MultiDiscrete([2, 3]), np.array([2, 0]), r"int64 \[2\]"),
        (MultiBinary(2), np.array([0, 2]), r"int64 \[2\]"),
        (Dict(a=FLOAT, b=FLOAT), {"a": SEEN}, "a dict of 1"),
        (Dict(a=FLOAT), {"a": np.zeros(3)}, r"observation/a that reset .*float64 \[3\]"),
        (Tuple([FLOAT, FLOAT]), (SEEN,), "a tuple of 1"),
    ],
)
def test_observations_outside_of_their_space_are_named(space: Any, seen: Any, message: str) -> None:
    with pytest.raises(EnvError, match=message):
        stepped(space=space, seen=seen)


@pytest.mark.parametrize(
    ("space", "seen", "expected"),
    [
        (FLOAT, [1, 2], [1, 2]),
        (FLOAT, np.array([1.0, 2.0]), [1, 2]),
        (FLOAT, np.array([10, 20]), [10, 20]),  # beyond its bounds, as many environments are by a little
        (Box(0, 255, (2,), np.uint8), [3, 200], [3, 200]),
        (Box(0, 255, (2,), np.uint8), np.array([3.0, 200.0]), [3, 200]),
        (Discrete(3), np.int64(1), [0, 1, 0]),
        (Discrete(3), np.array([2]), [0, 0, 1]),
        (MultiBinary(2), [1, 0], [1, 0]),
    ],
)
def test_what_is_exact_in_another_type_is_taken(space: Any, seen: Any, expected: list[float]) -> None:
    assert stepped(space=space, seen=seen).observation.tolist() == [expected] * 2


def test_extra_keys_are_left_out() -> None:
    result = stepped(space=Dict(a=FLOAT), seen={"a": SEEN, "text": "hello"})
    assert list(result.observation) == ["observation/a"]
