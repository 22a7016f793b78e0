"""Recall asks for memory and for nothing else, and pays what its docstring says."""

from __future__ import annotations

from collections.abc import Callable

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

from r2d2.envs.make import make
from r2d2.envs.memory.recall import Recall
from r2d2.envs.memory.task import TaskEnv

CUES, DELAY, N = 4, 5, 64
Policy = Callable[[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]


def mean_return(policy: Policy, episodes: int = 2000) -> float:
    """The mean return of a policy of (observation, cue seen at the start, its own previous action)."""
    env = make("Recall-v0", N, options={"cues": CUES, "delay": DELAY})
    observation = env.reset(0)
    cue, previous = np.zeros(N, dtype=np.int64), np.zeros(N, dtype=np.int64)
    total, ends = 0.0, 0
    while ends < episodes:
        first = observation[:, CUES] == 1
        cue = np.where(first, observation[:, :CUES].argmax(axis=1), cue)
        previous = policy(observation, cue, np.where(first, 0, previous))
        observation, reward, terminated, truncated, _ = env.step(previous)
        total += float(reward.sum())
        ends += int(terminated.sum())
        assert not truncated.any()
    return total / ends


def asked(observation: NDArray[np.float32]) -> NDArray[np.bool_]:
    flag: NDArray[np.bool_] = observation[:, CUES + 1] == 1
    return flag


def test_a_latch_earns_one_in_every_episode() -> None:
    assert mean_return(lambda o, cue, _: np.where(asked(o), cue, 0)) == 1.0


def test_without_memory_a_guess_earns_two_over_cues_minus_one() -> None:
    guess = mean_return(lambda o, cue, _: np.where(asked(o), 2, 0))
    assert guess == pytest.approx(2 / CUES - 1, abs=0.06)
    last_symbol = mean_return(lambda o, cue, _: o[:, :CUES].argmax(axis=1) * asked(o))
    assert last_symbol == pytest.approx(2 / CUES - 1, abs=0.06)


def test_the_previous_action_is_no_memory() -> None:
    """An agent that notes the cue in its action and reads it back from its input earns less than a guess."""

    def note(
        o: NDArray[np.float32], cue: NDArray[np.int64], previous: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        return np.where(o[:, CUES] == 1, o[:, :CUES].argmax(axis=1), previous)

    assert mean_return(note) <= 2 / CUES - 1 + 0.06


def test_rewards_say_nothing_before_the_answer() -> None:
    env = make("Recall-v0", N, options={"delay": DELAY})
    env.reset(0)
    results = [env.step(np.zeros(N, dtype=np.int64)) for _ in range(DELAY + 2)]
    assert not any(result.reward.any() or result.terminated.any() for result in results[:-1])
    assert results[-1].terminated.all()
    assert set(results[-1].reward.tolist()) == {-1.0, 1.0}
    after = env.step(np.full(N, 3))
    assert not after.reward.any()
    assert not after.terminated.any()
    assert (after.observation[:, CUES] == 1).all()


def test_what_is_shown_cue_once_then_noise_then_the_question() -> None:
    env = make("Recall-v0", 500, options={"delay": DELAY})
    shown = [env.reset(0)] + [env.step(np.zeros(500, dtype=np.int64)).observation for _ in range(DELAY + 1)]
    symbols = np.stack(shown)[:, :, :CUES]  # [steps, N, cues]
    assert (symbols[:-1].sum(axis=2) == 1).all()
    assert (symbols[-1] == 0).all()
    assert [int(o[0, CUES]) for o in shown] == [1] + [0] * (DELAY + 1)
    assert [int(o[0, CUES + 1]) for o in shown] == [0] * (DELAY + 1) + [1]
    cue = symbols[0].argmax(axis=1)
    for later in symbols[1:-1]:
        assert (later.argmax(axis=1) == cue).mean() == pytest.approx(1 / CUES, abs=0.08)
    quiet = make("Recall-v0", 5, options={"delay": DELAY, "noise": 0.0})
    quiet.reset(0)
    assert not quiet.step(np.zeros(5, dtype=np.int64)).observation.any()


@pytest.mark.parametrize("delay", [0, 1, 10])
def test_an_episode_has_delay_plus_two_steps(delay: int) -> None:
    env = make("Recall-v0", 2, options={"delay": delay})
    assert env.spec.max_episode_steps == delay + 2
    assert (env.spec.observation_shape, env.spec.num_actions) == ((6,), 4)
    env.reset(0)
    ends = [bool(env.step(np.zeros(2, dtype=np.int64)).terminated.all()) for _ in range(delay + 2)]
    assert ends == [False] * (delay + 1) + [True]


def test_the_single_environment_plays_the_vectors_episodes() -> None:
    env = make("Recall-v0", 3, options={"delay": 2})
    single = TaskEnv(task=Recall, delay=2)
    first = env.reset(7)
    np.testing.assert_array_equal(first[2], single.reset(seed=9)[0])
    done, ends = False, 0
    for action in np.random.default_rng(0).integers(0, 4, (200, 3)) * (
        np.arange(600).reshape(200, 3) % 5 == 4
    ):
        result = env.step(action)
        if done:
            np.testing.assert_array_equal(result.observation[2], single.reset()[0])
            done = False
            continue
        observation, reward, done, _, _ = single.step(action[2])
        np.testing.assert_array_equal(result.observation[2], observation)
        assert (result.reward[2], result.terminated[2]) == (reward, done)
        ends += done
    assert ends > 20


def test_gymnasium_accepts_both_entry_points() -> None:
    check_env(gym.make("Recall-v0", render_mode="rgb_array").unwrapped)
    vector = gym.make_vec("Recall-v0", 3, vectorization_mode="vector_entry_point", delay=4)
    assert vector.reset(seed=0)[0].shape == vector.observation_space.shape
    assert vector.metadata["autoreset_mode"] == gym.vector.AutoresetMode.NEXT_STEP
