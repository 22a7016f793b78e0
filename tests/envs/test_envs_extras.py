"""MiniGrid, POPGym, MinAtar and ViZDoom by their ids; each law is skipped where the package is not installed."""

from __future__ import annotations

import builtins
import importlib
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from r2d2.envs import extras
from r2d2.envs.extras import area_weights
from r2d2.envs.make import make, make_single
from r2d2.envs.vector import EnvError


def played(env: Any, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Observations [steps + 1, N, ...] and (reward, terminated, truncated) [steps, 3, N] of random play."""
    rng = np.random.default_rng(0)
    first, rows, marks = env.reset(seed), [], []
    for action in rng.integers(0, env.spec.num_actions, (steps, env.num_envs)):
        result = env.step(action)
        rows.append(result.observation)
        marks.append(np.stack([result.reward, result.terminated, result.truncated]))
    return np.stack([first, *rows]), np.stack(marks)


def slots_are_seeds(env_id: str, steps: int, **settings: Any) -> np.ndarray:
    """Checks that slot 1 of seed 4 is slot 0 of seed 5 under the same actions; returns what was marked."""
    seen, marks = played(make(env_id, 1, **settings), steps, seed=5)
    again, other = played(make(env_id, 1, **settings), steps, seed=5)
    np.testing.assert_array_equal(seen, again)
    np.testing.assert_array_equal(marks, other)
    both = make(env_id, 2, **settings)
    np.testing.assert_array_equal(both.reset(4)[1], seen[0, 0])
    both.close()
    return marks


@pytest.mark.parametrize(
    ("env_id", "package"),
    [
        ("MiniGrid-MemoryS7-v0", "minigrid"),
        ("popgym-RepeatPreviousEasy-v0", "popgym"),
        ("MinAtar/Breakout-v1", "minatar"),
        ("VizdoomMyWayHome-v1", "vizdoom"),
    ],
)
def test_a_missing_package_names_its_extra(
    env_id: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(name: str) -> Any:
        if name.split(".")[0] == package:
            raise ImportError(f"No module named {name!r}")
        return importlib.import_module(name)

    monkeypatch.setattr(extras, "import_module", without)
    with pytest.raises(EnvError, match=rf"{env_id} needs {package}.*pip install .*\[{package}\]'"):
        make(env_id, 1)
    with pytest.raises(EnvError, match=rf"\[{package}\]"):
        make_single(env_id)


def test_no_extra_is_imported_for_another_id(monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = builtins.__import__, []

    def watch(name: str, *args: Any, **kwargs: Any) -> Any:
        seen.append(name.split(".")[0])
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", watch)
    make("Recall-v0", 1)
    assert not {"minigrid", "popgym", "minatar", "vizdoom"} & set(seen)


@pytest.mark.parametrize("game", ["Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders"])
def test_minatar_shows_a_grid_of_zeros_and_ones(game: str) -> None:
    pytest.importorskip("minatar")
    env = make(f"MinAtar/{game}-v1", 2)

    single = gym.make(f"MinAtar/{game}-v1")
    raw = single.reset(seed=3)[0]
    assert (env.spec.observation_shape, env.spec.observation_dtype) == (raw.shape, "uint8")
    seen = env.reset(3)[0]
    for action in (1, 2, 0):
        np.testing.assert_array_equal(seen, raw)
        seen = env.step(np.array([action, 0])).observation[0]
        raw = single.step(action)[0]
    slots_are_seeds(f"MinAtar/{game}-v1", 30)


def test_minigrid_codes_become_zeros_and_ones() -> None:
    pytest.importorskip("minigrid")
    env = make("MiniGrid-MemoryS7-v0", 2)
    assert env.spec.observation_shape == (7 * 7 * (11 + 6 + 3) + 4,)
    assert (env.spec.observation_dtype, env.spec.num_actions, env.spec.max_episode_steps) == (
        "float32",
        7,
        245,
    )
    single = gym.make("MiniGrid-MemoryS7-v0")
    seen = env.reset(3)[0]
    raw = single.reset(seed=3)[0]
    for action in (1, 1, 2, 0, 0):  # none reaches a goal
        parts = np.split(seen, [49 * 11, 49 * 17, 49 * 20])
        for k, part in enumerate(parts[:3]):
            np.testing.assert_array_equal(part.reshape(7, 7, -1).argmax(axis=2), raw["image"][..., k])
            assert (part.reshape(49, -1).sum(axis=1) == 1).all()
        assert parts[3].tolist() == np.eye(4)[raw["direction"]].tolist()
        seen = env.step(np.array([action, 0])).observation[0]
        raw = single.step(action)[0]


def test_minigrid_episodes_repeat_and_are_cut_at_their_limit() -> None:
    pytest.importorskip("minigrid")
    slots_are_seeds("MiniGrid-MemoryS7-v0", 300)
    env = make("MiniGrid-MemoryS7-v0", 1)
    env.reset(0)
    ends = [bool(env.step(np.zeros(1, dtype=np.int64)).truncated[0]) for _ in range(245)]
    assert ends == [False] * 244 + [True]
    film = make_single("MiniGrid-MemoryS7-v0")
    film.reset(0)
    assert film.rgb_frame().ndim == 3


def test_minigrid_missions_are_told_apart_or_refused() -> None:
    pytest.importorskip("minigrid")
    env = make("MiniGrid-GoToDoor-5x5-v0", 12)
    told = env.reset(0)[:, 49 * 20 + 4 :]
    assert told.shape[1] == 6  # colors of doors
    assert (told.sum(axis=1) == 1).all()
    assert len(np.unique(told.argmax(axis=1))) > 1
    with pytest.raises(EnvError, match="missions in free language"):
        make("BabyAI-GoToLocal-v0", 1)


@pytest.mark.parametrize("task", ["RepeatPrevious", "Autoencode", "Battleship", "PositionOnlyCartPole"])
def test_popgym_observations_are_flat_and_episodes_repeat(task: str) -> None:
    pytest.importorskip("popgym")
    env_id = f"popgym-{task}Easy-v0"
    env = make(env_id, 1)
    assert len(env.spec.observation_shape) == 1
    assert env.spec.observation_dtype == "float32"
    assert env.spec.num_actions == (64 if task == "Battleship" else env.spec.num_actions)
    marks = slots_are_seeds(env_id, 300)
    ends = np.flatnonzero(marks[:, 1:, 0].any(axis=1))
    lengths = np.diff(np.concatenate([[-1], ends])) - np.arange(len(ends)).clip(max=1)  # less the resets
    assert len(ends) >= 2
    assert lengths.max() <= (env.spec.max_episode_steps or 0)


def test_popgym_has_tasks_with_continuous_actions() -> None:
    pytest.importorskip("popgym")
    env = make("popgym-PositionOnlyPendulumEasy-v0", 2)
    env.reset(0)
    assert env.spec.action_size == 1
    assert env.step(np.zeros((2, 1), np.float32)).observation.shape == (2, *env.spec.observation_shape)


def test_vizdoom_frames_have_the_size_asked_for() -> None:
    pytest.importorskip("vizdoom")
    for options, shape in (({}, (42, 42, 3)), ({"rgb": 0}, (42, 42))):
        env = make("VizdoomMyWayHome-v1", 1, frame_size=42, options=options)
        assert (env.spec.observation_shape, env.spec.observation_dtype) == (shape, "uint8")
        assert env.spec.max_episode_steps == 525  # 2,100 tics
        frame = env.reset(0)
        assert frame.shape == (1, *shape)
        assert frame.std() > 5
        env.close()
    with pytest.raises(EnvError, match=r"frame_size must be in \[8, 160\]"):
        make("VizdoomMyWayHome-v1", 1, frame_size=4)


def test_vizdoom_timeouts_truncate_and_leave_the_last_frame() -> None:
    pytest.importorskip("vizdoom")
    settings: dict[str, Any] = {"frame_size": 16, "options": {"rgb": 0, "frame_skip": 100}}
    slots_are_seeds("VizdoomMyWayHome-v1", 30, **settings)
    env = make("VizdoomMyWayHome-v1", 1, **settings)
    assert env.spec.max_episode_steps == 21
    env.reset(0)
    results = [env.step(np.zeros(1, dtype=np.int64)) for _ in range(21)]
    assert [bool(result.truncated[0]) for result in results] == [False] * 20 + [True]
    assert not results[-1].terminated[0]
    np.testing.assert_array_equal(results[-1].observation, results[-2].observation)
    env.close()


def test_area_weights_are_means_over_equal_bands() -> None:
    for size, bands in ((120, 84), (160, 84), (120, 8), (6, 3)):
        weights = area_weights(size, bands)
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(weights.sum(axis=0), bands / size, rtol=1e-4)
    assert area_weights(6, 3)[1].tolist() == [0, 0, 0.5, 0.5, 0, 0]
