"""Halves are one vector: the same run, in an actor too, and no half is left playing."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from helpers import ACTIONS, ScriptedEnvironments, Setup
from test_envs_vector import FakeEnv

from r2d2.envs.halves import Halves
from r2d2.envs.make import make


@pytest.mark.parametrize("env_id", ["Recall-v0", "CartPole-v1", "ALE/Pong-v5"])
def test_two_halves_are_the_whole(env_id):
    """Of an odd number of slots: observations, rewards and flags of every step, also after a second reset."""
    if env_id.startswith("ALE"):
        pytest.importorskip("ale_py")
    whole, halves = (make(env_id, 3, halves=split) for split in (False, True))
    assert halves.spec == whole.spec
    assert [part.stop - part.start for part in halves.parts] == [2, 1]
    rng = np.random.default_rng(0)
    for seed in (5, 70):
        np.testing.assert_array_equal(halves.reset(seed), whole.reset(seed))
        for _ in range(40):
            action = rng.integers(whole.spec.num_actions, size=3)
            for got, expected in zip(halves.step(action), whole.step(action), strict=True):
                np.testing.assert_array_equal(got, expected)


def test_an_actor_in_halves_writes_the_same_rows():
    """Exploring and greedy actions, states and Q values, with episodes that end and a cut."""
    setup = Setup(environments=5, life_loss="reset")

    class Scripted(Halves):
        def __init__(self):
            super().__init__(
                [ScriptedSlots(range(3)), ScriptedSlots(range(3, 5))]  # type: ignore[list-item]
            )

    class ScriptedSlots:
        """Some slots of scripted environments, each with a stream of its own."""

        def __init__(self, slots):
            self.num_envs, self.spec = len(slots), "scripted"
            self.slots = [ScriptedEnvironments(1, setup.shape, setup.dtype, setup.episodes) for _ in slots]
            for slot, number in zip(self.slots, slots, strict=True):
                slot.next_episode = [number]

        def reset(self, seed):
            return np.concatenate([slot.reset(seed + i) for i, slot in enumerate(self.slots)])

        def step(self, action):
            results = [slot.step(action[i : i + 1]) for i, slot in enumerate(self.slots)]
            return type(results[0])(*(np.concatenate(arrays) for arrays in zip(*results, strict=True)))

    network = setup.network(0)
    whole, halves = setup.actor(network), setup.actor(network)
    whole.environments, halves.environments = ScriptedSlots(range(5)), Scripted()
    for actor in (whole, halves):
        actor.reset(3)
    greedy = 0
    for step in range(60):
        cut = step == 40
        for expected, got in zip(whole.step(cut=cut), halves.step(cut=cut), strict=True):
            for name, value in expected.values.items():
                np.testing.assert_allclose(got.values[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
            np.testing.assert_array_equal(got.last, expected.last)
            np.testing.assert_allclose(got.core, expected.core, rtol=1e-5, atol=1e-6)
            greedy += int((expected.values["q_taken"] == expected.values["q_greedy"]).sum())
        if cut:
            whole.reset(4)
            halves.reset(4)
    assert 0 < greedy < 60 * 5
    assert set(np.unique(got.values["action"])) <= set(range(ACTIONS))


class Slow(FakeEnv):
    """Notes when it plays."""

    def __init__(self, meet):
        super().__init__()
        self.meet = meet

    def step(self, action):
        self.meet.wait(timeout=20)
        return super().step(action)


def test_halves_play_at_the_same_time():
    """Both must be within their steps at once, or the barrier breaks."""
    meet = threading.Barrier(2)
    halves = Halves([Slow(meet), Slow(meet)])
    halves.reset(0)
    halves.step(np.zeros(halves.num_envs, np.int64))
    assert not meet.broken


def test_a_half_that_fails_leaves_none_playing():
    class Failing(FakeEnv):
        def step(self, action):
            raise ValueError("broken game")

    class Late(FakeEnv):
        def step(self, action):
            time.sleep(0.05)
            return super().step(action)

    halves = Halves([Failing(), Late()])
    halves.reset(0)
    for _ in range(2):
        with pytest.raises(ValueError, match="broken game"):
            halves.step(np.zeros(halves.num_envs, np.int64))
    with pytest.raises(RuntimeError, match="no step to finish; call begin first"):
        halves.finish(1)
    halves.begin(1, np.zeros(halves.num_envs // 2, np.int64))
    with pytest.raises(RuntimeError, match="in the middle of a step; call finish first"):
        halves.begin(1, np.zeros(halves.num_envs // 2, np.int64))
    halves.reset(1)
    halves.close()
