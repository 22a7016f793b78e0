"""Hindsight in SB3: its HerReplayBuffer to the bit, and the same with n-step returns and priorities."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

pytest.importorskip("stable_baselines3")

from stable_baselines3 import DDPG, DQN, SAC, TD3, HerReplayBuffer
from stable_baselines3.common.vec_env import VecNormalize
from stable_baselines3.her.goal_selection_strategy import GoalSelectionStrategy

from r2d2.integrations.sb3 import HindsightReplayBuffer, PrioritizedLoss
from tests.integrations.sb3_cases import assert_same, assert_same_draws
from tests.integrations.sb3_goals import Reach, environments, play

STRATEGIES = ("final", "future", "episode", "random")
ALGORITHMS = {"DDPG": DDPG, "TD3": TD3, "SAC": SAC, "DQN": DQN}


def buffers(size: int, env: Any, *kinds: Any, **arguments: Any) -> list[Any]:
    shared = size, env.observation_space, env.action_space, env
    return [kind(*shared, device="cpu", n_envs=env.num_envs, **arguments) for kind in kinds]


@pytest.mark.parametrize("info", [False, True])
@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("strategy", ["final", "future", "episode", *GoalSelectionStrategy])
def test_samples_are_sb3s_to_the_bit(strategy: Any, n_envs: int, info: bool) -> None:
    env = environments(n_envs)
    ours, theirs = buffers(
        30 * n_envs,
        env,
        HindsightReplayBuffer,
        HerReplayBuffer,
        goal_selection_strategy=strategy,
        copy_info_dict=info,
        n_sampled_goal=3,
    )
    for _ in range(12):
        play(env, 9, ours, theirs)
        assert_same_draws(ours, theirs, batches=2, size=33)


def test_samples_are_normalized_as_sb3s() -> None:
    env = VecNormalize(environments(2))
    ours, theirs = buffers(60, env, HindsightReplayBuffer, HerReplayBuffer)
    play(env, 50, ours, theirs)
    assert_same_draws(ours, theirs, env=env)


def history(buffer: Any) -> dict[float, tuple[int, int, int, float]]:
    """For each achieved goal (by its number) of a finished episode: environment, episode start, step, reward."""
    found = {}
    for slot, env in zip(*np.nonzero(buffer.ep_length), strict=True):
        columns = buffer.replay.get(buffer.ids[[slot], [env]]).columns
        start = int(buffer.ep_start[slot, env])
        goal = float(columns["observation/achieved_goal"][0, 1, 0])
        step = int((slot - start) % buffer.buffer_size)
        found[goal] = (int(env), start, step, float(columns["reward"][0, 1]))
    return found


@pytest.mark.parametrize("selector", ["uniform", "proportional", "rank"])
@pytest.mark.parametrize("n_steps", [1, 4])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_goals_come_from_where_the_strategy_says(strategy: Any, n_steps: int, selector: Any) -> None:
    """And every step of an n-step return is rewarded for the one new goal, with its own achieved goal."""
    env = environments(2)
    (buffer,) = buffers(
        60,
        env,
        HindsightReplayBuffer,
        goal_selection_strategy=strategy,
        n_steps=n_steps,
        gamma=0.5,
        selector=selector,
        n_sampled_goal=4,
        seed=3,
    )

    class Told:
        beta = 0.5

        def drawn(self, samples: Any, ids: Any, weight: Any) -> None:
            buffer.update_priorities(ids, np.random.default_rng(0).random(len(ids)))

    buffer.learner = Told()
    reached = {"same": 0, "later": 0, "other": 0}
    for _ in range(8):
        play(env, 17, buffer)
        known, size = history(buffer), 50
        samples = buffer.sample(size)
        discounts = samples.discounts if n_steps > 1 else torch.full((size, 1), 0.5)
        for b in range(size):
            goal = float(samples.observations["desired_goal"][b, 0])
            assert goal == float(samples.next_observations["desired_goal"][b, 0])
            end = float(samples.next_observations["achieved_goal"][b, 0])
            env_, start, last, _ = known[end]
            steps = round(-np.log2(float(discounts[b, 0])))
            first = last - steps + 1
            line = {step: (g, r) for g, (e, s, step, r) in known.items() if (e, s) == (env_, start)}
            assert float(samples.observations["observation"][b, 0]) <= 1
            assert steps == min(n_steps, len(line) - first)
            if b < size - int(0.8 * size):  # those with goals of their own
                assert goal <= 0
                rewards = [line[step][1] for step in range(first, last + 1)]
            else:
                other_env, other_start, at, _ = known[goal]
                same = (other_env, other_start) == (env_, start)
                reached["same" if same and at == first else "later" if same and at > first else "other"] += 1
                if strategy != "random":
                    assert same
                if strategy == "final":
                    assert at == len(line) - 1
                if strategy == "future":
                    assert at >= first
                rewards = [line[step][0] * 10 + goal for step in range(first, last + 1)]
            expected = sum(0.5**k * reward for k, reward in enumerate(rewards))
            assert float(samples.rewards[b, 0]) == pytest.approx(expected, rel=1e-5)
    assert reached["later"] > (0 if strategy == "random" else 20)
    assert (reached["other"] > 20) == (strategy in ("episode", "random"))


@pytest.mark.parametrize("selector", ["proportional", "rank"])
def test_running_episodes_wait_and_overwritten_ones_leave(selector: Any) -> None:
    """What is drawn by priority is what uniform draws: the steps of whole finished episodes."""
    env = environments(3)
    plain, by_priority = buffers(60, env, HindsightReplayBuffer, HindsightReplayBuffer, seed=0)
    (by_priority,) = buffers(60, env, HindsightReplayBuffer, selector=selector, seed=0)
    for _ in range(70):
        play(env, 1, plain, by_priority)
        assert (plain.ep_length == by_priority.ep_length).all()
        inside = by_priority.replay.selector.values(by_priority._place(*np.nonzero(by_priority.ids >= 0))) > 0
        assert (inside == (plain.ep_length[plain.ids >= 0] > 0)).all()
        assert len(by_priority.replay.selector) == np.count_nonzero(plain.ep_length)


def test_new_goals_go_to_old_and_new_transitions_alike() -> None:
    """Draws by priority come in the order of their places, and which of them are relabeled must not."""
    env = environments(1)
    (buffer,) = buffers(400, env, HindsightReplayBuffer, selector="proportional", n_sampled_goal=1, seed=0)
    play(env, 400, buffer)
    buffer.learner = PrioritizedLoss()
    kept = np.concatenate([buffer._draw(100).slots[:50] for _ in range(100)])
    assert abs(kept.mean() - 200) < 10  # 115 / sqrt(5000) = 1.6 is the standard error


def test_an_episode_longer_than_the_buffer_keeps_its_end() -> None:
    env = environments(1, longest=1)
    (buffer,) = buffers(10, env, HindsightReplayBuffer, goal_selection_strategy="final", seed=0)
    look = env.reset()
    for step in range(25):
        after = {key: part + 1 if key == "achieved_goal" else part for key, part in look.items()}
        buffer.add(look, after, np.zeros((1, 2)), np.zeros(1), np.array([step == 24]), [{}])
        look = after
    assert (buffer.ep_length == 10).all()
    samples = buffer.sample(50)
    assert set(samples.observations["desired_goal"][10:, 0].tolist()) == {float(look["achieved_goal"][0, 0])}


def model(name: str, kind: Any, n_envs: int, **arguments: Any) -> Any:
    env = environments(n_envs, discrete=name == "DQN")
    return ALGORITHMS[name](
        "MultiInputPolicy",
        env,
        seed=1,
        device="cpu",
        buffer_size=200,
        learning_starts=60,
        batch_size=16,
        train_freq=8,
        gradient_steps=2,
        policy_kwargs={"net_arch": [16]},
        replay_buffer_class=kind,
        replay_buffer_kwargs=arguments or None,
    )


@pytest.mark.parametrize("name", ALGORITHMS)
def test_training_is_sb3s_to_the_bit(name: str) -> None:
    models = []
    for kind in (HindsightReplayBuffer, HerReplayBuffer):
        Reach.count = 0
        models.append(model(name, kind, 2, goal_selection_strategy="future").learn(300))
    pairs = zip(models[0].policy.parameters(), models[1].policy.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("name", ["DQN", "SAC"])
def test_priorities_and_n_step_returns_train(name: str) -> None:
    learner = model(name, HindsightReplayBuffer, 2, selector="proportional", n_steps=3, gamma=0.99)
    learner.learn(300, callback=PrioritizedLoss())
    assert len(np.unique(learner.replay_buffer.replay.priorities())) > 20


@pytest.mark.parametrize("truncate", [True, False])
def test_a_saved_buffer_is_sb3s_too(truncate: bool, tmp_path: Any) -> None:
    """Also with its last episodes ended at loading."""
    samples = []
    for kind in (HindsightReplayBuffer, HerReplayBuffer):
        Reach.count = 0
        learner = model("SAC", kind, 2)
        learner.learn(75)
        learner.save_replay_buffer(tmp_path / "buffer")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if truncate else "error")
            learner.load_replay_buffer(tmp_path / "buffer", truncate_last_traj=truncate)
        buffer = learner.replay_buffer
        assert isinstance(buffer, kind)
        assert buffer.env is learner.env
        np.random.seed(0)  # noqa: NPY002
        samples.append(buffer.sample(64))
        buffer.env = learner.env
        learner.learn(75, reset_num_timesteps=truncate)
        np.random.seed(0)  # noqa: NPY002
        samples.append(buffer.sample(64))
    assert_same(samples[0], samples[2])
    if truncate:  # otherwise SB3 goes on with an episode of an environment that was reset
        assert_same(samples[1], samples[3])


def test_a_loaded_buffer_needs_its_environment() -> None:
    env = environments(1)
    (buffer,) = buffers(100, env, HindsightReplayBuffer)
    play(env, 30, buffer)
    other = pickle.loads(pickle.dumps(buffer))
    with pytest.raises(RuntimeError, match="call set_env"):
        other.sample(16)
    other.set_env(env)
    other.sample(16)
    with pytest.raises(ValueError, match="already initialized"):
        other.set_env(env)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"goal_selection_strategy": "best"}, "goal_selection_strategy must be one of final, .*got 'best'"),
        ({"n_sampled_goal": -1}, "n_sampled_goal must be at least 0"),
        (
            {"observation_space": spaces.Discrete(3)},
            "observation_space must be a Dict with observation, achieved",
        ),
        ({"n_steps": 2}, "gamma must be given"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], message: str) -> None:
    env = environments(1)
    shared = {"buffer_size": 50, "observation_space": env.observation_space, "action_space": env.action_space}
    with pytest.raises(ValueError, match=message):
        HindsightReplayBuffer(**{**shared, "env": env, **arguments})


def test_nothing_is_drawn_before_an_episode_has_ended() -> None:
    env = environments(1, longest=1)
    (buffer,) = buffers(50, env, HindsightReplayBuffer)
    look = env.reset()
    buffer.add(look, look, np.zeros((1, 2)), np.zeros(1), np.zeros(1, bool), [{}])
    with pytest.raises(RuntimeError, match="no episode is finished yet: make learning_starts larger"):
        buffer.sample(4)
