"""The Atari adapter: the protocol's numbers, ALE's traps, and frames equal to a slow twin's."""

from __future__ import annotations

import builtins
import dataclasses
import multiprocessing
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from atari_twin import SlowAtari
from numpy.typing import NDArray

from r2d2.envs.atari import ATARI_57, PROTOCOLS, AtariVector
from r2d2.envs.make import make
from r2d2.envs.vector import EnvError, StepResult, VectorEnv

pytest.importorskip("ale_py")


def play(env: VectorEnv, actions: NDArray[np.int64], seed: int) -> list[StepResult]:
    """The steps of a run that starts with reset(seed); actions [T, N]. Row 0 holds the reset."""
    none = np.zeros(env.num_envs, dtype=np.bool_)
    first = StepResult(env.reset(seed), np.zeros(env.num_envs, dtype=np.float32), none, none, none)
    return [first] + [env.step(action) for action in actions]


def same(left: list[StepResult], right: list[StepResult]) -> bool:
    return all(
        np.array_equal(a, b) for x, y in zip(left, right, strict=True) for a, b in zip(x, y, strict=True)
    )


def row_of(row: StepResult, slot: int) -> StepResult:
    columns: Any = [column[slot : slot + 1] for column in row]
    return StepResult(*columns)


def random_actions(steps: int, slots: int, seed: int = 0) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, 18, (steps, slots))


def quiet_pacman(max_frames: int) -> VectorEnv:
    options = {"max_noops": 0, "max_frames": max_frames}
    return make("ALE/MsPacman-v5", 1, frame_size=42, threads=1, options=options)


def test_atari_57_has_57_games() -> None:
    assert len(set(ATARI_57)) == 57


@pytest.mark.parametrize("game", ["Pong", "Skiing", "MontezumaRevenge", "UpNDown", "YarsRevenge"])
def test_a_game_builds_with_all_its_actions(game: str) -> None:
    env = make(f"ALE/{game}-v5", 2, frame_size=42, threads=1)
    assert env.spec.num_actions == (9 if game == "Skiing" else 18)
    assert env.spec.observation_shape == (42, 42)
    first = env.reset(0)
    result = env.step(np.full(2, env.spec.num_actions - 1))
    assert first.shape == result.observation.shape == (2, 42, 42)
    assert first.dtype == result.observation.dtype == np.uint8


@pytest.mark.slow
@pytest.mark.parametrize("game", ATARI_57)
def test_each_of_the_57_games_builds_and_steps(game: str) -> None:
    env = make(f"ALE/{game}-v5", 1, threads=1)
    env.reset(0)
    for action in range(env.spec.num_actions):
        assert env.step(np.array([action])).observation.shape == (1, 84, 84)


@pytest.mark.parametrize("game", ["Breakout", "MsPacman"])
@pytest.mark.parametrize("size", [84, 42])
def test_steps_equal_a_slow_twin_across_an_automatic_reset(game: str, size: int) -> None:
    """Frame, reward, end and lost lives, the final observation included, a frame of the emulator a call."""
    options = {"max_noops": 0, "max_frames": 1500}
    env = make(f"ALE/{game}-v5", 1, frame_size=size, threads=1, options=options)
    twin = SlowAtari(game, size)
    np.testing.assert_allclose(env.reset(0)[0], twin.reset(), atol=0.501)
    done, ends, lives = False, 0, 0
    for action in random_actions(450, 1):
        result = env.step(action)
        if done:
            expected, reward, terminated, lost = twin.reset(), 0.0, False, False
        else:
            expected, reward, terminated, lost = twin.step(int(action[0]))
        np.testing.assert_allclose(result.observation[0], expected, atol=0.501)
        assert (result.reward[0], result.terminated[0], result.life_lost[0]) == (reward, terminated, lost)
        done = bool(result.terminated[0] | result.truncated[0])
        ends += done
        lives += lost
    assert ends >= 1
    assert lives >= 2


def test_frames_equal_gymnasium_bit_for_bit() -> None:
    pytest.importorskip("cv2")
    from ale_py.env import AtariEnv
    from gymnasium.wrappers import AtariPreprocessing

    single = AtariEnv(game="pong", frameskip=1, repeat_action_probability=0.0, full_action_space=True)
    theirs = AtariPreprocessing(single, noop_max=0, screen_size=42)
    ours = make("ALE/Pong-v5", 1, frame_size=42, options={"max_noops": 0})
    np.testing.assert_array_equal(ours.reset(0)[0], theirs.reset(seed=0)[0])
    for action in random_actions(100, 1):
        np.testing.assert_array_equal(ours.step(action).observation[0], theirs.step(int(action[0]))[0])


def test_a_frame_cap_truncates_and_does_not_terminate() -> None:
    env = make("ALE/Pong-v5", 2, frame_size=42, threads=1, options={"max_frames": 402})
    assert env.spec.max_episode_steps == 101
    run = play(env, random_actions(204, 2), seed=0)
    ends = [t for t, result in enumerate(run) if result.truncated.any()]
    assert ends == [101, 203]  # the step between them is the reset
    assert all(run[t].truncated.all() and not run[t].terminated.any() for t in ends)


def test_the_step_after_a_done_ignores_its_action_and_is_a_reset() -> None:
    runs = []
    for action in (2, 11):
        env = make("ALE/Pong-v5", 2, frame_size=42, threads=1, options={"max_frames": 80})
        run = play(env, np.zeros((20, 2), dtype=np.int64), seed=3)
        assert run[-1].truncated.all()
        runs.append(env.step(np.full(2, action)))
    assert same([runs[0]], [runs[1]])
    assert not runs[0].reward.any()
    assert not (runs[0].terminated | runs[0].truncated).any()


@pytest.mark.parametrize("protocol", ["paper", "machado"])
def test_slot_i_of_seed_s_is_slot_0_of_seed_s_plus_i_on_any_number_of_threads(protocol: str) -> None:
    settings: Mapping[str, Any] = {"protocol": protocol, "frame_size": 42, "options": {"max_frames": 200}}
    actions = random_actions(120, 3)
    run = play(make("ALE/Breakout-v5", 3, threads=1, **settings), actions, seed=5)
    assert same(run, play(make("ALE/Breakout-v5", 3, threads=4, **settings), actions, seed=5))
    for slot in range(3):
        alone = play(
            make("ALE/Breakout-v5", 1, threads=1, **settings), actions[:, slot : slot + 1], seed=5 + slot
        )
        assert same([row_of(row, slot) for row in run], alone)


def test_a_reset_in_mid_episode_equals_a_fresh_environment() -> None:
    settings: Mapping[str, Any] = {"protocol": "machado", "options": {"max_frames": 200}}
    env = make("ALE/Breakout-v5", 2, frame_size=42, threads=2, **settings)
    actions = random_actions(60, 2)
    run = play(env, actions, seed=9)
    for steps in (33, 50):  # the second stops at a done
        play(env, random_actions(steps, 2, seed=1), seed=1)
        assert same(run, play(env, actions, seed=9))


def test_sticky_actions_follow_the_seed() -> None:
    """Without no-ops the seed can only act through the sticky actions: other seeds, other runs."""
    env = make("ALE/Pong-v5", 2, protocol="machado", frame_size=42, threads=1)
    run = play(env, np.repeat(random_actions(60, 1), 2, axis=1), seed=0)
    assert np.array_equal(run[0].observation[0], run[0].observation[1])
    assert any(not np.array_equal(row.observation[0], row.observation[1]) for row in run)
    plain = make("ALE/Pong-v5", 2, frame_size=42, threads=1, options={"max_noops": 0})
    run = play(plain, np.repeat(random_actions(60, 1), 2, axis=1), seed=0)
    assert all(np.array_equal(row.observation[0], row.observation[1]) for row in run)


def test_no_ops_reach_their_maximum_and_no_further() -> None:
    rules = dataclasses.replace(PROTOCOLS["paper"], max_noops=2)
    env = AtariVector("ALE/Pong-v5", 16, protocol=rules, frame_size=8, threads=2, rgb=False)
    _, info = env._same_process().reset(seed=0)
    assert set(info["episode_frame_number"].tolist()) == {0, 1, 2}


def test_the_frame_cap_hides_what_the_emulator_does_before_it_restarts() -> None:
    """ALE plays one step more before the slot restarts: its reward, or its end, belongs to no episode."""
    still = np.zeros((900, 1), dtype=np.int64)
    whole = play(quiet_pacman(10**6), still, seed=0)
    scores = next(t for t, row in enumerate(whole) if row.reward[0] > 0)
    ends = next(t for t, row in enumerate(whole) if row.terminated[0])
    for last in (scores - 1, ends - 1):
        env = quiet_pacman(4 * last)
        run = play(env, still[: last + 41], seed=0)
        assert run[last].truncated[0]
        assert not run[last].terminated[0]
        assert same(run[last + 1 :], run[:41])


def test_rewards_are_raw_float32() -> None:
    env = make("ALE/MsPacman-v5", 1, frame_size=42, threads=1)
    rewards = np.concatenate([result.reward for result in play(env, random_actions(150, 1), seed=0)])
    assert rewards.dtype == np.float32
    assert rewards.max() >= 10.0


def test_observations_belong_to_the_caller() -> None:
    env = make("ALE/Breakout-v5", 2, frame_size=42, threads=1)
    kept = [result.observation for result in play(env, random_actions(40, 2), seed=0)]
    copies = [observation.copy() for observation in kept]
    play(env, random_actions(40, 2, seed=1), seed=1)
    env.close()
    assert all(np.array_equal(a, b) for a, b in zip(kept, copies, strict=True))


def _step_in_child(env: VectorEnv, answer: Any) -> None:
    try:
        env.step(np.zeros(1, dtype=np.int64))
    except RuntimeError as error:
        answer.put(str(error))


def test_use_in_a_fork_is_an_error_and_not_a_hang() -> None:
    env = make("ALE/Pong-v5", 1, frame_size=42, threads=1)
    env.reset(0)
    context = multiprocessing.get_context("fork")
    answer = context.SimpleQueue()
    child = context.Process(target=_step_in_child, args=(env, answer))
    child.start()
    child.join(timeout=10)
    hung = child.is_alive()
    child.kill()
    assert not hung
    assert "build it in the worker" in answer.get()


def test_protocols_are_the_published_numbers() -> None:
    paper, machado = PROTOCOLS["paper"], PROTOCOLS["machado"]
    assert (paper.max_noops, paper.max_frames, paper.max_episode_steps) == (30, 108_000, 27_000)
    assert (paper.sticky, paper.frame_skip, paper.full_action_space) == (0.0, 4, True)
    assert (machado.max_noops, machado.max_frames, machado.sticky) == (0, 18_000, 0.25)
    assert machado.full_action_space


@pytest.mark.parametrize(
    ("env_id", "settings", "message"),
    [
        ("ALE/Ponk-v5", {}, "ALE/Pong-v5"),
        ("ALE/Pong-v4", {}, "ALE/Pong-v5"),
        ("ALE/Pong-v5", {"protocol": "papers"}, r"\['machado', 'paper'\], got 'papers'"),
        ("ALE/Pong-v5", {"options": {"max_frame": 4}}, "did you mean 'max_frames'"),
        ("ALE/Pong-v5", {"options": {"max_frames": 0}}, "max_frames must be an integer of at least 1"),
        ("ALE/Pong-v5", {"options": {"sticky": 1.0}}, "sticky must be a probability"),
        ("ALE/Pong-v5", {"frame_size": 7}, r"frame_size must be in \[8, 160\] pixels, got 7"),
        ("ALE/Pong-v5", {"threads": -1}, "threads must be an integer of at least 0, got -1"),
    ],
)
def test_a_bad_setting_is_one_clear_error(env_id: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(EnvError, match=message):
        make(env_id, 1, **settings)


def test_missing_ale_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_ale(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("ale_py"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_ale)
    with pytest.raises(EnvError, match=r"pip install .*\[atari\]'"):
        make("ALE/Pong-v5", 1)
