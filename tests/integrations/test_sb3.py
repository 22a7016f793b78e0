"""Our buffer holds SB3's transitions, draws them as SB3 does, and trains its algorithms bit for bit."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

pytest.importorskip("stable_baselines3")

from stable_baselines3 import DDPG, DQN, SAC, TD3
from stable_baselines3.common import buffers
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from r2d2.integrations.sb3 import ReplayBuffer
from tests.integrations.sb3_cases import (
    ACTIONS,
    BOX,
    IMAGE,
    OBSERVATIONS,
    Script,
    assert_same,
    assert_same_draws,
    feed,
)

ALGORITHMS = {"DDPG": DDPG, "TD3": TD3, "SAC": SAC, "DQN": DQN}
DISCRETE = ACTIONS["discrete"]


def pair(script: Script, size: int = 40, **arguments: Any) -> tuple[ReplayBuffer, Any]:
    """Our buffer and SB3's for the same script."""
    spaces_ = script.observation_space, script.action_space
    ours = ReplayBuffer(size, *spaces_, device="cpu", n_envs=script.n_envs, **arguments)
    kind = buffers.DictReplayBuffer if isinstance(spaces_[0], spaces.Dict) else buffers.ReplayBuffer
    if "n_steps" in arguments:
        kind = buffers.NStepReplayBuffer
    return ours, kind(size, *spaces_, device="cpu", n_envs=script.n_envs, **arguments)


@pytest.mark.parametrize("actions", ACTIONS)
@pytest.mark.parametrize("observations", OBSERVATIONS)
def test_every_kind_of_space(observations: str, actions: str) -> None:
    """Part filled and after several turns of the ring."""
    script = Script(OBSERVATIONS[observations], ACTIONS[actions], n_envs=2)
    ours, theirs = pair(script)
    for count in (1, 12, 90):
        feed(script, count, ours, theirs)
        assert (ours.size(), ours.pos, ours.full) == (theirs.size(), theirs.pos, theirs.full)
        assert_same_draws(ours, theirs)


@pytest.mark.parametrize("timeouts", [True, False])
@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("n_steps", [None, 1, 2, 5])
def test_every_held_transition_is_sb3s(n_steps: int | None, n_envs: int, timeouts: bool) -> None:
    """All of them, by slot, at every position of the write head; with n-step returns too."""
    script = Script(BOX, DISCRETE, n_envs)
    more = {} if n_steps is None else {"n_steps": n_steps, "gamma": 0.9}
    ours, theirs = pair(script, 11 * n_envs + 1, handle_timeout_termination=timeouts, **more)
    for _ in range(40):
        feed(script, 1, ours, theirs)
        slots = np.repeat(np.arange(theirs.size()), 4)
        np.random.seed(0)  # noqa: NPY002
        expected = theirs._get_samples(slots)
        np.random.seed(0)  # noqa: NPY002
        got = ours._get_samples(slots)
        if n_steps == 1:  # SB3 gives discounts of gamma then, which its algorithms would use anyway
            expected = expected._replace(discounts=None)
        assert_same(got, expected)


def test_samples_are_normalized_as_sb3s() -> None:
    env = VecNormalize(make_vec_env("Pendulum-v1", n_envs=2))
    env.reset()
    for _ in range(20):
        env.step(np.array([env.action_space.sample() for _ in range(2)]))
    for more in ({}, {"n_steps": 3, "gamma": 0.9}):
        script = Script(env.observation_space, env.action_space, n_envs=2)
        ours, theirs = pair(script, **more)
        feed(script, 30, ours, theirs)
        assert_same_draws(ours, theirs, env=env)
        raw = ours.sample(8)
        assert not torch.equal(ours.sample(8, env=env).rewards, raw.rewards)


def test_reset_forgets_and_extend_adds() -> None:
    script = Script(BOX, DISCRETE, n_envs=2)
    ours, theirs = pair(script)
    feed(script, 30, ours, theirs)
    ours.reset()
    theirs.reset()
    assert ours.size() == 0
    with pytest.raises(ValueError, match="the buffer is empty"):
        ours.sample(4)
    steps = list(zip(*script.steps(9), strict=True))
    ours.extend(*steps)
    theirs.extend(*steps)
    assert_same_draws(ours, theirs)


def test_an_episode_that_is_broken_off_is_not_continued() -> None:
    """An environment that is reset between two calls of `learn`: n-step returns stop there, SB3's go on."""
    ours = ReplayBuffer(40, BOX, DISCRETE, device="cpu", n_envs=2, n_steps=3, gamma=0.5)
    rows = np.arange(60, dtype=np.float32).reshape(10, 2, 3) / 60

    def add(before: int, after: int) -> None:
        ours.add(rows[before], rows[after], np.zeros(2, int), np.ones(2), np.zeros(2, bool), [{}, {}])

    add(0, 1)
    add(1, 2)
    add(5, 6)  # both environments elsewhere
    add(6, 7)
    add(7, 8)
    got = ours._get_samples(np.arange(5))
    assert got.rewards[:, 0].tolist() == [1.5, 1.0, 1.75, 1.5, 1.0]
    assert got.discounts is not None
    assert got.discounts[:, 0].tolist() == [0.25, 0.5, 0.125, 0.25, 0.5]
    columns = rows.transpose(1, 0, 2)
    for name, stored in (("observations", [0, 1, 5, 6, 7]), ("next_observations", [2, 2, 8, 8, 8])):
        for row, at in zip(getattr(got, name).numpy(), stored, strict=True):
            assert any((row == column[at]).all() for column in columns)


def test_a_transition_that_is_refused_can_be_added_again() -> None:
    script = Script(BOX, DISCRETE, n_envs=2)
    ours, theirs = pair(script)
    for step in script.steps(30):
        obs, next_obs, action, _, done, infos = step
        with pytest.raises(ValueError, match="reward must be finite"):
            ours.add(obs, next_obs, action, np.array([0.0, np.nan]), done, infos)
        ours.add(*step)
        theirs.add(*step)
    assert_same_draws(ours, theirs)


def test_an_image_is_stored_once_and_compressed() -> None:
    space = spaces.Box(0, 255, (4, 84, 84), np.uint8)
    ours = ReplayBuffer(256, space, DISCRETE, device="cpu")
    frame = np.zeros((1, 4, 84, 84), np.uint8)
    for step in range(200):
        after = frame.copy()
        after[0, :, step % 84, :20] = step
        ours.add(frame, after, np.zeros(1, int), np.zeros(1), np.zeros(1, bool), [{}])
        frame = after
    raw = 200 * 4 * 84 * 84
    assert ours.replay.storage.compressed["observation/"].encoded_nbytes < raw / 40
    assert ours.replay.storage.rows == 201  # SB3 holds 400 of its observations


@pytest.mark.parametrize("space", [BOX, IMAGE], ids=["box", "image"])
@pytest.mark.parametrize("length", [1, 2, 9])
def test_only_newer_transitions_drive_old_ones_out(length: int, space: spaces.Space) -> None:
    """However much room the first and last rows of short episodes take."""
    script = Script(space, DISCRETE, n_envs=2)
    ours = ReplayBuffer(400, space, DISCRETE, device="cpu", n_envs=2)
    for number, (*step, _, infos) in enumerate(script.steps(450)):
        ours.add(*step, np.full(2, number % length == 0), infos)
        if number > 200:
            assert ours.replay.holds(ours.ids.reshape(-1)).all()


@pytest.mark.parametrize("selector", ["uniform", "proportional", "rank"])
@pytest.mark.parametrize("space", [IMAGE, OBSERVATIONS["dict"]], ids=["image", "dict"])
def test_a_pickled_buffer_goes_on_alike(space: spaces.Space, selector: Any) -> None:
    """With a seed of its own it draws what the other one draws; later transitions go in alike."""

    class Told:
        beta = 0.5

        def drawn(self, samples: Any, ids: Any, weight: Any) -> None:
            buffer.update_priorities(ids, np.abs(samples.rewards[:, 0].numpy()) * weight)

    script = Script(space, DISCRETE, n_envs=3)
    ours = ReplayBuffer(
        60, space, DISCRETE, device="cpu", n_envs=3, selector=selector, seed=5, n_steps=2, gamma=0.9
    )
    feed(script, 33, ours)
    ours.learner = Told()
    buffer = ours
    ours.sample(32)
    other = pickle.loads(pickle.dumps(ours))
    assert other.learner is None
    other.learner = ours.learner
    for _ in range(4):
        buffer = ours
        expected = ours.sample(32)
        buffer = other
        assert_same(other.sample(32), expected)
        feed(script, 7, ours, other)
    assert not torch.equal(ours.sample(32).rewards, ours.sample(32).rewards)


# -- SB3's algorithms --------------------------------------------------------------------------------------


def train(name: str, buffer: Any, n_envs: int = 1, steps: int = 300, **arguments: Any) -> Any:
    env = make_vec_env("CartPole-v1" if name == "DQN" else "Pendulum-v1", n_envs=n_envs, seed=0)
    model = ALGORITHMS[name](
        "MlpPolicy",
        env,
        seed=1,
        device="cpu",
        buffer_size=120,
        learning_starts=60,
        batch_size=16,
        train_freq=8,
        gradient_steps=2,
        policy_kwargs={"net_arch": [16]},
        replay_buffer_class=buffer,
        **arguments,
    )
    return model.learn(steps)


def same_parameters(one: Any, other: Any) -> bool:
    pairs = zip(one.policy.parameters(), other.policy.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(("name", "n_envs"), [*((name, 1) for name in ALGORITHMS), ("SAC", 2), ("DQN", 3)])
def test_training_is_sb3s_to_the_bit(name: str, n_envs: int) -> None:
    ours, theirs = train(name, ReplayBuffer, n_envs), train(name, None, n_envs)
    assert isinstance(ours.replay_buffer, ReplayBuffer)
    assert ours._n_updates > 20
    assert same_parameters(ours, theirs)


def test_n_step_training_is_sb3s_to_the_bit() -> None:
    more = {"n_steps": 3, "gamma": 0.95}
    ours = train("TD3", ReplayBuffer, gamma=0.95, replay_buffer_kwargs=more)
    assert same_parameters(ours, train("TD3", None, **more))
    assert not same_parameters(ours, train("TD3", None, gamma=0.95))


def test_training_goes_on_from_a_saved_buffer(tmp_path: Any) -> None:
    """Model and buffer saved and loaded with SB3's own calls train on as the ones that were saved."""
    model = train("DQN", ReplayBuffer, n_envs=2)
    model.save(tmp_path / "model")
    model.save_replay_buffer(tmp_path / "buffer")
    other = DQN.load(tmp_path / "model", device="cpu")
    assert other.replay_buffer.size() == 0  # SB3 leaves the buffer out of the model
    other.load_replay_buffer(tmp_path / "buffer")
    for learner in (model, other):
        learner.set_env(make_vec_env("CartPole-v1", n_envs=2, seed=3))
        learner.set_random_seed(7)
        learner.learn(120)
    assert same_parameters(model, other)


def test_an_image_policy_trains() -> None:
    class Noise(gym.Env):
        observation_space = spaces.Box(0, 255, (36, 36, 1), np.uint8)
        action_space = spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):  # type: ignore[no-untyped-def]
            super().reset(seed=seed)
            return self._look(), {}

        def step(self, action):  # type: ignore[no-untyped-def]
            return self._look(), 1.0, self.np_random.random() < 0.1, False, {}

        def _look(self):  # type: ignore[no-untyped-def]
            return self.np_random.integers(0, 256, (36, 36, 1), np.uint8)

    models = []
    for kind in (ReplayBuffer, None):
        model = DQN(
            "CnnPolicy",
            DummyVecEnv([Noise]),
            seed=0,
            device="cpu",
            buffer_size=100,
            learning_starts=20,
            batch_size=4,
            replay_buffer_class=kind,
        )
        models.append(model.learn(48))
    assert models[0].replay_buffer.columns["observation/"].codec == "lz4"
    assert same_parameters(*models)


def test_draws_by_priority_need_errors() -> None:
    with pytest.raises(RuntimeError, match='selector="proportional" needs.*callback=PrioritizedLoss'):
        train("DQN", ReplayBuffer, replay_buffer_kwargs={"selector": "proportional"})
