"""Laws of the continuous memory tasks: what memory earns, and what none can."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from r2d2.envs.make import make
from r2d2.envs.vector import EnvError


def cue_return(delay: int, give: str) -> NDArray[np.float64]:
    """Returns [64] of giving back the number, or always the same."""
    env = make("Cue-v0", 64, options={"delay": delay})
    seen = first = env.reset(0)
    total = np.zeros(64)
    for step in range(delay + 2):
        asked = seen[:, 2:] == 1
        assert asked.all() == (step == delay + 1)
        number = first[:, :1] if give == "number" else np.zeros_like(first[:, :1])
        result = env.step(np.where(asked, number, np.float32(0)))
        seen = result.observation
        total += result.reward
        assert result.terminated.all() == (step == delay + 1)
    return total


@pytest.mark.parametrize("delay", [0, 7])
def test_who_remembers_the_cue_earns_one_and_who_does_not_nothing(delay: int) -> None:
    np.testing.assert_allclose(cue_return(delay, "number"), 1.0, rtol=1e-6)
    assert abs(cue_return(delay, "zero").mean()) < 0.2


def test_the_cue_is_shown_once_and_moving_costs() -> None:
    env = make("Cue-v0", 8, options={"delay": 3, "cost": 0.5})
    assert (env.reset(1)[:, 0] != 0).all()
    for _ in range(4):
        result = env.step(np.full((8, 1), -1.0, np.float32))
        assert (result.observation[:, 0] == 0).all()
        np.testing.assert_allclose(result.reward, -0.5)


@pytest.mark.parametrize("right", [True, False])
def test_the_maze_pays_the_turn_that_the_sign_asked_for(right: bool) -> None:
    env = make("TMazeContinuous-v0", 32, options={"corridor": 5})
    seen = env.reset(0)
    sign = seen[:, 0] if right else -seen[:, 0]
    assert set(seen[:, 0].tolist()) == {-1.0, 1.0}
    total = np.zeros(32)
    for step in range(6):
        junction = seen[:, 3] == 1
        assert junction.all() == (step == 5)
        turn = np.where(junction, sign, 0)
        result = env.step(np.stack([np.where(junction, 0, 1), turn], 1).astype(np.float32))
        seen, total = result.observation, total + result.reward
        assert junction.all() or (seen[:, 0] == 0).all()
    assert result.terminated.all()
    np.testing.assert_allclose(total, -0.5 + (4.0 if right else -0.1), rtol=1e-5)


@pytest.mark.parametrize(
    ("env_id", "options", "message"),
    [
        ("Cue-v0", {"delay": -1}, "delay must be a whole number"),
        ("Cue-v0", {"cost": "high"}, "cost must be a number"),
        ("MaskedPendulumContinuous-v0", {"torques": 1}, "torques must be 0 or at least 2"),
        ("MaskedPendulumContinuous-v0", {"noise": -1}, "noise must be a number"),
        ("TMazeContinuous-v0", {"corridor": 0}, "corridor must be a whole number"),
    ],
)
def test_options_that_mean_nothing_are_refused(env_id: str, options: dict[str, float], message: str) -> None:
    with pytest.raises(EnvError, match=message):
        make(env_id, 1, options=options)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (np.zeros(2, np.float32), "floats of shape \\(2, 1\\)"),
        (np.zeros((2, 1), np.int64), "floats of shape"),
        (np.array([[0.0], [1.5]], np.float32), "must be in \\[-1, 1\\], got .* in slot 1"),
        (np.array([[np.nan], [0.0]], np.float32), "in slot 0"),
    ],
)
def test_actions_that_are_none_are_refused(action: NDArray[np.float32], message: str) -> None:
    env = make("Pendulum-v1", 2)
    env.reset(0)
    with pytest.raises(ValueError, match=message):
        env.step(action)


@pytest.mark.parametrize(("name", "positions"), [("HalfCheetah", 8), ("Hopper", 5), ("Walker2d", 8)])
def test_masked_walkers_are_gymnasiums_without_velocities(name: str, positions: int) -> None:
    pytest.importorskip("mujoco")
    masked, whole = make(f"Masked{name}-v5", 2), make(f"{name}-v5", 2)
    assert masked.spec.max_episode_steps == whole.spec.max_episode_steps == 1000
    np.testing.assert_array_equal(masked.reset(3), whole.reset(3)[:, :positions])
    rng = np.random.default_rng(0)
    for _ in range(50):
        action = rng.uniform(-1, 1, (2, masked.spec.action_size)).astype(np.float32)
        a, b = masked.step(action), whole.step(action)
        np.testing.assert_array_equal(a.observation, b.observation[:, :positions])
        np.testing.assert_array_equal(a.reward, b.reward)
        np.testing.assert_array_equal(a.terminated, b.terminated)
