"""What memory is worth in each task: the best policies with and without it earn what the docstrings say."""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

from r2d2.envs.make import make
from r2d2.envs.memory.cartpole import MAX_ANGLE, MAX_POSITION, MaskedCartPole
from r2d2.envs.memory.chain import MemoryChain
from r2d2.envs.memory.recall import Recall, Repeat, memoryless_return
from r2d2.envs.memory.task import Task
from r2d2.envs.memory.tmaze import EAST, NORTH, SOUTH, TMaze


def returns(task: Task, act: Any, steps: int) -> NDArray[np.float64]:
    """The return of each slot's first episode, [N]; `act` is called with (observation, previous action)."""
    first = task.observe()
    observation, previous = first, np.full(len(first), -1)
    total, over = np.zeros(len(first)), np.zeros(len(first), dtype=np.bool_)
    for _ in range(steps):
        action = act(observation, previous)
        reward, terminated, truncated = task.act(action)
        total += np.where(over, 0.0, reward)
        over |= terminated | truncated
        observation, previous = task.observe(), action
    assert over.all()
    return total


def tables(task: Task, policies: NDArray[np.int64], copies: int) -> NDArray[np.float64]:
    """The mean return of each policy [P, inputs * (actions + 1)] over `copies` slots of its own.

    A policy maps what is shown now and the previous action (none at first) to an action.
    """
    table = np.repeat(policies, copies, axis=0)
    seen: dict[bytes, int] = {}

    def act(observation: NDArray[np.float32], previous: NDArray[np.int64]) -> NDArray[np.int64]:
        kinds, which = np.unique(observation, axis=0, return_inverse=True)
        codes = np.array([seen.setdefault(kind.tobytes(), len(seen)) for kind in kinds])[which.ravel()]
        place = codes * (task.num_actions + 1) + previous + 1
        return table[np.arange(len(table)), np.minimum(place, table.shape[1] - 1)]

    return returns(task, act, task.max_episode_steps).reshape(-1, copies).mean(axis=1)


@pytest.mark.parametrize("name", ["copy", "repeat"])
def test_no_policy_without_memory_beats_a_guess(name: str) -> None:
    """Every table over what is shown and the previous action, on every sequence of two symbols."""
    steps = 5
    scripts = np.array(list(itertools.product(range(2), repeat=4 if name == "repeat" else 2)))
    policies = np.array(list(itertools.product(range(2), repeat=12)))
    n = len(policies) * len(scripts)
    task: Recall | Repeat
    if name == "copy":
        task = Recall(n, cues=2, length=2, delay=1, noise=0.0)
        shown = np.concatenate([scripts, np.full((len(scripts), steps - 2), -1)], axis=1)
    else:
        task = Repeat(n, symbols=2, back=2, length=2)
        shown = scripts
    task.script.symbols[:] = np.tile(shown, (len(policies), 1))
    best = tables(task, policies, len(scripts)).max()
    assert best == pytest.approx(memoryless_return(2, 2), abs=1e-9)


@pytest.mark.parametrize("corridor", [1, 2, 5])
def test_no_policy_without_memory_earns_more_than_1_95_in_the_maze(corridor: int) -> None:
    """All 256 tables of the place, and 20,000 random ones of place and previous action, for both signs."""
    plain = np.repeat(np.array(list(itertools.product(range(4), repeat=4))), 5, axis=1)
    random = np.random.default_rng(0).integers(0, 4, (20_000, 20))
    # Most random tables never arrive: let half of the others walk east from the corridor and the start.
    random[10_000:, :15] = np.where(
        np.random.default_rng(1).random((10_000, 15)) < 0.8, EAST, random[10_000:, :15]
    )
    policies = np.concatenate([plain, random])
    task = TMaze(2 * len(policies), corridor=corridor)
    task.north[:] = np.tile([True, False], len(policies))
    scores = tables(task, policies, 2)
    assert scores.max() == pytest.approx(1.95, abs=1e-6)
    assert (scores > 1.9).sum() > 100


@pytest.mark.parametrize("noise", [0, 1])
def test_one_bit_earns_four_in_the_maze(noise: int) -> None:
    env, n = make("TMaze-v0", 64, options={"corridor": 6, "noise": noise}), 64
    observation = env.reset(0)
    north = observation[:, 2] == 1
    assert 0 < north.sum() < n
    for _ in range(6):
        result = env.step(np.full(n, EAST))
        assert not result.reward.any()
        assert not result.terminated.any()
    assert (result.observation == [0, 1, 0]).all()
    result = env.step(np.where(north, NORTH, SOUTH))
    assert (result.reward == 4).all()
    assert result.terminated.all()


def test_the_maze_pays_and_shows_what_its_docstring_says() -> None:
    env = make("TMaze-v0", 64, options={"corridor": 2})
    first = env.reset(0)
    assert {tuple(row) for row in first.tolist()} == {(0, 1, 1), (1, 1, 0)}
    for action in (NORTH, SOUTH, 3):  # walls around the start
        result = env.step(np.full(64, action))
        assert (result.reward == np.float32(-0.1)).all()
        np.testing.assert_array_equal(result.observation, first)
    assert (env.step(np.full(64, EAST)).observation == [1, 0, 1]).all()
    np.testing.assert_array_equal(env.step(np.full(64, 3)).observation, first)  # the sign still stands there
    for _ in range(2):
        env.step(np.full(64, EAST))
    assert (env.step(np.full(64, EAST)).reward == np.float32(-0.1)).all()  # the wall behind the junction
    result = env.step(np.full(64, NORTH))
    assert result.terminated.all()
    np.testing.assert_array_equal(result.reward, np.where(first[:, 2] == 1, np.float32(4), np.float32(-0.1)))
    env.reset(0)
    ends = [bool(env.step(np.full(64, NORTH)).truncated.all()) for _ in range(12)]
    assert ends == [False] * 11 + [True]


def test_noise_in_the_corridor_is_fresh_at_every_step_and_leaves_the_ends_alone() -> None:
    env = make("TMaze-v0", 200, options={"corridor": 3, "noise": 1})
    env.reset(0)
    shown = np.stack([env.step(np.full(200, EAST)).observation for _ in range(3)])
    assert (shown[:2, :, 1] == 0).all()
    for numbers in (shown[0, :, 0], shown[0, :, 2], shown[1, :, 0]):
        assert numbers.mean() == pytest.approx(0.5, abs=0.1)
        assert len(np.unique(numbers)) > 190
    assert (shown[2] == [0, 1, 0]).all()


@pytest.mark.parametrize(("env_id", "best"), [("Copy-v0", 8), ("Repeat-v0", 32)])
def test_a_memory_of_the_symbols_earns_one_an_answer(env_id: str, best: int) -> None:
    """The policy keeps all it was shown and reads the right one back: that is all the memory there is."""
    env, n = make(env_id, 32), 32
    lag = 12 if env_id == "Copy-v0" else 4
    symbols, total = [env.reset(0)[:, :4].argmax(axis=1)], np.zeros(n)
    for t in range(env.spec.max_episode_steps or 0):
        result = env.step(symbols[t - lag] if t >= lag else np.zeros(n, dtype=np.int64))
        total += result.reward
        symbols.append(result.observation[:, :4].argmax(axis=1))
        assert result.terminated.all() == (t + 1 == env.spec.max_episode_steps)
    assert (total == best).all()


def test_masked_cartpole_is_gymnasiums_cartpole_over_whole_episodes() -> None:
    """With the same seed: state, reward and both ends, in single precision as gymnasium shows them."""
    env = make("MaskedCartPole-v0", 3, options={"velocities": 1})
    masked = make("MaskedCartPole-v0", 3)
    singles = [gym.make("CartPole-v1") for _ in range(3)]
    observation = env.reset(5)
    np.testing.assert_array_equal(masked.reset(5), observation[:, [0, 2]])
    for slot, single in enumerate(singles):
        np.testing.assert_array_equal(observation[slot], single.reset(seed=5 + slot)[0])
    done, kinds = np.zeros(3, dtype=np.bool_), np.zeros(2, dtype=np.int64)
    rng = np.random.default_rng(0)
    for t in range(1600):
        good = (observation @ [0.1, 0.5, 10.0, 1.5] > 0).astype(np.int64)
        action = good if t < 900 else rng.integers(0, 2, 3)
        result, blind = env.step(action), masked.step(action)
        np.testing.assert_array_equal(blind.observation, result.observation[:, [0, 2]])
        for slot, single in enumerate(singles):
            row: Any = (single.reset()[0], 0.0, False, False) if done[slot] else single.step(action[slot])
            np.testing.assert_allclose(result.observation[slot], row[0], rtol=1e-6, atol=1e-7)
            assert (result.reward[slot], result.terminated[slot], result.truncated[slot]) == row[1:4]
        done, observation = result.terminated | result.truncated, result.observation
        kinds += [result.terminated.sum(), result.truncated.sum()]
    assert (kinds > 2).all()


def test_one_remembered_observation_balances_the_pole_for_500_steps() -> None:
    env = make("MaskedCartPole-v0", 64)
    before = observation = env.reset(0)
    total = np.zeros(64)
    for _ in range(500):
        speed = (observation - before) / 0.02
        push = observation @ [0.1, 10.0] + speed @ [0.5, 1.5]
        before, result = observation, env.step((push > 0).astype(np.int64))
        observation = result.observation
        total += result.reward
        assert not result.terminated.any()
    assert result.truncated.all()
    assert (total == 500).all()


def test_no_straight_line_through_position_and_angle_balances_the_pole() -> None:
    """511 memoryless policies, 'push right beyond this line', 64 starts each."""
    angle, shift = np.meshgrid(np.linspace(-np.pi, np.pi, 73), np.linspace(-0.3, 0.3, 7))
    lines, starts = angle.size, 64
    task = MaskedCartPole(lines * starts)
    for start in range(starts):
        task.begin(start, np.random.default_rng(start))
    task._state = np.tile(task._state[:, :starts], (1, lines))
    a, b = (np.repeat(x.ravel(), starts) for x in (angle, shift))

    def act(o: NDArray[np.float32], _: NDArray[np.int64]) -> NDArray[np.int64]:
        side = np.cos(a) * o[:, 0] / MAX_POSITION + np.sin(a) * o[:, 1] / MAX_ANGLE + b
        return (side > 0).astype(np.int64)

    scores = returns(task, act, 500).reshape(lines, starts).mean(axis=1)
    assert 35 < scores.max() < 80


@pytest.mark.parametrize("bits", [1, 3])
def test_the_chain_asks_for_a_bit_that_was_shown_once(bits: int) -> None:
    """Whoever keeps the first observation earns 1, whoever answers the opposite -1, and all before is free."""
    length, n = 7, 64
    env = make("MemoryChain-v0", n, options={"length": length, "bits": bits})
    first = env.reset(0)
    assert env.spec.max_episode_steps == length + 1
    shown = first[:, 2:]
    assert set(shown.ravel().tolist()) == {-1.0, 1.0}
    rng = np.random.default_rng(0)
    for t in range(1, length + 1):
        result = env.step(rng.integers(2, size=n))
        assert not result.reward.any()
        assert not result.terminated.any()
        assert not result.observation[:, 2:].any()
        np.testing.assert_allclose(result.observation[:, 0], 1 - t / length, rtol=1e-6)
        assert t == length or not result.observation[:, 1].any()
    asked = result.observation[:, 1].astype(np.int64)
    assert set(asked.tolist()) == set(range(bits))
    answer = (shown[np.arange(n), asked] > 0).astype(np.int64)
    wrong = np.arange(n) < n // 2
    result = env.step(np.where(wrong, 1 - answer, answer))
    np.testing.assert_array_equal(result.reward, np.where(wrong, -1, 1))
    assert result.terminated.all()


def test_without_memory_no_answer_in_the_chain_beats_a_guess_but_the_previous_action_can_carry_the_bit() -> (
    None
):
    """All tables over the observation alone earn 0 on both bits; one over the previous action as well earns 1."""
    policies = np.array(list(itertools.product(range(2), repeat=5)))  # inputs: bit 0, bit 1, then 3 steps
    plain = np.repeat(policies, 3, axis=1)
    task = MemoryChain(2 * len(plain), length=3)
    task.shown[:, 0] = np.tile([0, 1], len(plain))
    np.testing.assert_array_equal(tables(task, plain, 2), np.zeros(len(plain)))
    task = MemoryChain(2, length=3)
    task.shown[:, 0] = [0, 1]

    def note(observation: NDArray[np.float32], previous: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(observation[:, 2] == 0, previous, observation[:, 2] > 0)

    np.testing.assert_array_equal(returns(task, note, 4), [1, 1])
