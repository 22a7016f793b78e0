"""Laws of every task of our own: vector and single agree, slots are seeds, options are checked."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

from r2d2.envs.make import make, make_single
from r2d2.envs.vector import EnvError, EnvSpec

# Short ones, so that many episodes end, and each option that changes what is shown.
CASES: list[tuple[str, dict[str, Any]]] = [
    ("Recall-v0", {"delay": 1, "cues": 2}),
    ("Copy-v0", {"cues": 2, "length": 2, "delay": 1, "noise": 0.5}),
    ("Repeat-v0", {"symbols": 2, "back": 1, "length": 3}),
    ("TMaze-v0", {"corridor": 2}),
    ("TMaze-v0", {"corridor": 3, "noise": 1}),
    ("MemoryChain-v0", {"length": 3}),
    ("MemoryChain-v0", {"length": 2, "bits": 3}),
    ("MaskedCartPole-v0", {"steps": 12}),
    ("MaskedCartPole-v0", {"velocities": 1}),
    ("MaskedPendulum-v0", {"steps": 12, "torques": 3}),
    ("MaskedPendulum-v0", {"velocities": 1, "steps": 12}),
    ("MaskedMountainCar-v0", {"steps": 12}),
    ("MaskedMountainCar-v0", {"velocities": 1, "steps": 12}),
    ("MaskedPendulumContinuous-v0", {"steps": 12}),
    ("MaskedPendulumContinuous-v0", {"velocities": 1, "noise": 0.2, "steps": 12}),
    ("MaskedMountainCarContinuous-v0", {"steps": 12}),
    ("MaskedMountainCarContinuous-v0", {"velocities": 1, "steps": 12}),
    ("MaskedAcrobotContinuous-v0", {"steps": 12}),
    ("MaskedAcrobotContinuous-v0", {"velocities": 1, "steps": 12}),
    ("TMazeContinuous-v0", {"corridor": 2}),
    ("Cue-v0", {"delay": 3}),
    ("Cue-v0", {"delay": 0, "cost": 0}),
]
ALL = pytest.mark.parametrize(("env_id", "options"), CASES)
N = 5


def random_actions(spec: EnvSpec, steps: int, seed: int) -> NDArray[Any]:
    """Actions [steps, N] of an agent, or [steps, N, size]."""
    rng = np.random.default_rng(seed)
    if spec.action_size:
        return rng.uniform(-1, 1, (steps, N, spec.action_size)).astype(np.float32)
    return rng.integers(0, spec.num_actions, (steps, N))


@ALL
def test_gymnasium_accepts_the_single_and_the_vector(env_id: str, options: dict[str, Any]) -> None:
    check_env(gym.make(env_id, render_mode="rgb_array", **options).unwrapped)
    vector = gym.make_vec(env_id, 3, vectorization_mode="vector_entry_point", **options)
    assert vector.reset(seed=0)[0].shape == vector.observation_space.shape
    assert vector.metadata["autoreset_mode"] == gym.vector.AutoresetMode.NEXT_STEP
    assert vector.reset(seed=1)[0] in vector.observation_space


@ALL
def test_slot_i_is_the_single_environment_with_seed_plus_i(env_id: str, options: dict[str, Any]) -> None:
    """Over many episodes, with their final observations; the step after an end ignores its action."""
    vector = make(env_id, N, options=options)
    singles = [gym.make(env_id, disable_env_checker=True, **options) for _ in range(N)]
    first = vector.reset(7)
    for slot, single in enumerate(singles):
        np.testing.assert_array_equal(first[slot], single.reset(seed=7 + slot)[0])
    done, ends, length = np.zeros(N, dtype=np.bool_), 0, np.zeros(N, dtype=np.int64)
    for action in random_actions(vector.spec, 300, seed=0):
        result = vector.step(action)
        own = action if vector.spec.actions is None else vector.spec.actions.of(action)
        for slot, single in enumerate(singles):
            row: Any = (single.reset()[0], 0.0, False, False) if done[slot] else single.step(own[slot])
            np.testing.assert_array_equal(result.observation[slot], row[0])
            assert result.reward[slot] == np.float32(row[1])
            assert (result.terminated[slot], result.truncated[slot]) == (row[2], row[3])
        length = np.where(done, 0, length + 1)
        done = result.terminated | result.truncated
        ends += int(done.sum())
        assert vector.spec.max_episode_steps is not None
        assert (length <= vector.spec.max_episode_steps).all()
    assert ends > 20


@ALL
def test_a_reset_in_mid_episode_starts_the_same_run_again(env_id: str, options: dict[str, Any]) -> None:
    env = make(env_id, N, options=options)
    actions = random_actions(env.spec, 30, seed=1)
    runs = []
    for _ in range(2):
        rows = [env.reset(3)] + [env.step(action).observation for action in actions]
        runs.append(np.stack(rows))
    np.testing.assert_array_equal(*runs)
    assert not np.array_equal(runs[0][:, 0], runs[0][:, 1])  # other seeds, other episodes


@ALL
def test_a_task_can_be_filmed(env_id: str, options: dict[str, Any]) -> None:
    film = make_single(env_id, options=options)
    film.reset(0)
    size = film.spec.observation_shape[0]
    assert film.rgb_frame().shape == (16, 16 * size, 3)


@pytest.mark.parametrize(
    ("env_id", "options", "message"),
    [
        ("Recall-v0", {"cues": 1}, r"cues must be a whole number in \[2, 1000\], got 1"),
        ("Recall-v0", {"delay": 2.5}, "delay must be a whole number.*got 2.5"),
        ("Recall-v0", {"noise": 1.5}, r"noise must be a probability in \[0, 1\], got 1.5"),
        ("Copy-v0", {"length": 0}, "length must be a whole number"),
        ("Repeat-v0", {"back": 0}, "back must be a whole number.*0 steps back would need no memory"),
        ("Repeat-v0", {"symbols": True}, "symbols must be a whole number"),
        ("TMaze-v0", {"corridor": 0}, "corridor must be a whole number"),
        ("MemoryChain-v0", {"length": 0}, "length must be a whole number"),
        ("MemoryChain-v0", {"bits": 0}, "bits must be a whole number"),
        ("TMaze-v0", {"noise": 0.5}, r"noise must be true \(1\) or false \(0\), got 0.5"),
        ("TMaze-v0", {"lenght": 3}, "has no option 'lenght'.*its options are corridor, noise, flicker$"),
        ("MaskedCartPole-v0", {"steps": 0}, "steps must be a whole number.*CartPole-v1 has 500"),
        ("MaskedCartPole-v0", {"velocities": 2}, "velocities must be true"),
        ("Recall-v0", {"delay": "long"}, "delay must be a whole number.*got 'long'"),
        ("Recall-v0", {"noise": "much"}, "noise must be a probability.*got 'much'"),
        ("TMaze-v0", {"noise": "no"}, "noise must be true.*got 'no'"),
        ("TMaze-v0", {"max_episode_steps": 3}, "has no option 'max_episode_steps'"),
        ("ALE/Pong-v5", {"sticky": "x"}, "sticky must be a probability"),
        ("ALE/Pong-v5", {"full_action_space": "x"}, "full_action_space must be true or false"),
        ("CartPole-v1", {"flicker": [1]}, r"flicker must be a probability.*got \[1\]"),
        ("CartPole-v1", {"flicker": 1.5}, r"flicker must be a probability in \[0, 1\], got 1.5"),
    ],
)
def test_a_bad_option_is_one_clear_error(env_id: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(EnvError, match=message):
        make(env_id, 2, options=options)


def test_switches_may_be_booleans() -> None:
    env = make("TMaze-v0", 1, options={"noise": True})
    env.reset(0)
    assert env.step(np.array([1])).observation[0, 0] not in (0.0, 1.0)


def test_numbers_from_the_command_line_may_be_floats() -> None:
    assert make("TMaze-v0", 1, options={"corridor": 6.0, "noise": 1.0}).spec.max_episode_steps == 28
