"""Laws of policies: they act as the run's own evaluation does, and are whole or refused by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from checkpoint_cases import SOURCE, flip
from run_cases import call, lines, new_run, state, tiny

import r2d2
from r2d2.agent.networks import parameter_hash
from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.config import Config
from r2d2.envs.actions import actions_of
from r2d2.envs.observations import parts_of
from r2d2.envs.vector import EnvSpec
from r2d2.runs.policy import Origin, Policy
from r2d2.runs.policy_files import (
    DESCRIPTION,
    WEIGHTS,
    Policies,
    PolicyError,
    load_policy,
    read_origin,
    save_policy,
)

CASES: dict[str, dict[str, Any]] = {
    "lstm": {"env__id": "Recall-v0", "network__stack": 2},
    "feed-forward": {"network__core": "none", "network__previous_inputs": False},
    "goals": {"env__id": "BitFlipping-v0", "env__options": {"bits": 4}},
    "frames": {"env__id": "ALE/Pong-v5", "env__options": {"max_frames": 240}},
}


def made(config: Config, seed: int = 0) -> Policy:
    """A policy with random weights, large enough for its actions to differ."""
    spec = environments.spec(config)
    network = build.network(config, spec)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5)
    return Policy(network, config, spec, Origin("made", 30, 4, 2.5))


def test_a_policy_has_the_vectors_of_spectral_layers(tmp_path: Path) -> None:
    """They are no parameters, but the network is another one without them."""
    config = tiny(network__torso="impala", network__spectral_norm=True)
    space = gym.spaces.Box(0, 255, (12, 12, 3), np.uint8)
    spec = EnvSpec("Some-v0", parts_of(space, "Some-v0"), 3, 100)
    network = build.network(config, spec)
    vector = network.state_dict()["torso.2.first.left"]
    vector.copy_(vector.roll(1))
    save_policy(tmp_path / "p", network, config, spec, Origin("made", 30, 4, 2.5))
    loaded = load_policy(tmp_path / "p").network
    assert torch.equal(loaded.state_dict()["torso.2.first.left"], vector)
    assert parameter_hash(loaded) == parameter_hash(network)


@pytest.mark.parametrize("case", CASES)
def test_a_policy_acts_as_the_evaluation_does(case: str, tmp_path: Path) -> None:
    """Also once written and read: frames stacked, states carried and zeroed, rewards and actions fed back."""
    from r2d2.runtime.greedy import make_greedy

    config = tiny(**CASES[case])
    policy = made(config)
    save_policy(tmp_path / "p", policy.network, config, policy.spec, policy.origin)
    actor = make_greedy(environments.vector(config, 3), policy.network)
    actor.reset(7)
    vector, loaded = environments.vector(config, 3), load_policy(tmp_path / "p")
    observation, reward, start, done = vector.reset(7), None, None, np.zeros(3, np.bool_)
    values: list[float] = []
    with torch.no_grad():
        for _ in range(60):
            (rows, *_) = actor.step()
            action = loaded.act(raw(observation, loaded.spec), reward, episode_start=start)
            assert loaded._state is not None
            q = loaded._state.forward()[0].max(1)
            np.testing.assert_array_equal(q, rows.values["q_greedy"])
            values += q.tolist()
            same = ~rows.last  # an action after an episode's end is ignored, and recorded as 0
            np.testing.assert_array_equal(action[same], rows.values["action"][same])
            result = vector.step(action)
            observation, reward, start = result.observation, result.reward, done
            done = result.terminated | result.truncated
    assert len(np.unique(values)) > 5, "the comparison says something"
    assert repr(loaded) == f"<Policy of {config.env.id} after 30 environment steps, return 2.50>"


def raw(observation: Any, spec: EnvSpec) -> Any:
    """Observations as the environment itself gives them, of the column that our vectors give."""
    (part,) = spec.parts
    if not part.keys:
        return observation
    size = spec.goals.size if spec.goals is not None else 0
    return {
        "observation": observation[:, : -2 * size],
        "desired_goal": observation[:, -2 * size : -size],
        "achieved_goal": observation[:, -size:],
    }


def test_it_needs_neither_the_environment_nor_its_package(tmp_path: Path) -> None:
    """On another machine: a process in which ale_py and gymnasium's Atari cannot be imported."""
    config = tiny(**CASES["frames"])
    policy = made(config)
    save_policy(tmp_path / "p", policy.network, config, policy.spec, policy.origin)
    code = f"""if 1:
        import sys
        sys.modules["ale_py"] = None
        import numpy as np
        import r2d2
        policy = r2d2.load({str(tmp_path / "p")!r})
        policy.reset(2)
        shape = policy.spec.parts[0].own_shape
        print(policy.act(np.zeros((2, *shape), np.uint8)).shape)
    """
    environ = os.environ | {"PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "(2,)\n", done.stderr


class Two(gym.Env[Any, Any]):
    """Two switches at once, which start at 5."""

    observation_space = gym.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gym.spaces.MultiDiscrete([2, 3], start=[5, 5])


def test_actions_are_the_environments_own() -> None:
    policy = made(tiny())
    actions = actions_of(Two.action_space, "Two")
    spec = EnvSpec("Two", policy.spec.parts, 6, None, None, actions)
    config = tiny(network__previous_inputs=False)
    policy = Policy(build.network(config, spec), config, spec)
    chosen = policy.act(
        np.random.default_rng(0).normal(size=(50, 4)), epsilon=1.0, rng=np.random.default_rng(1)
    )
    assert chosen.shape == (50, 2)
    assert all(Two.action_space.contains(action) for action in chosen)


def test_a_dict_of_observations_is_read_as_the_environment_gives_it(tmp_path: Path) -> None:
    """Channels first, several arrays, a number one-hot: as in training, without the environment."""
    space = gym.spaces.Dict(
        {
            "image": gym.spaces.Box(0, 255, (3, 32, 40), np.uint8),
            "room": gym.spaces.Discrete(4, start=1),
            "speed": gym.spaces.Box(-np.inf, np.inf, (2,), np.float32),
        }
    )
    config = tiny()
    spec = EnvSpec("Rooms", parts_of(space, "Rooms"), 3, None)
    policy = Policy(build.network(config, spec), config, spec)
    save_policy(tmp_path, policy.network, config, spec, Origin())
    loaded = load_policy(tmp_path)
    assert loaded.spec == spec
    vector = gym.vector.utils.batch_space(space, 5)
    for step in range(3):
        vector.seed(step)
        observation = vector.sample()
        np.testing.assert_array_equal(
            loaded.act(observation, np.zeros(5)), policy.act(observation, np.zeros(5))
        )
    with pytest.raises(ValueError, match="observations must hold speed as Rooms gives it"):
        loaded.act({"image": observation["image"], "room": observation["room"]})
    with pytest.raises(ValueError, match=r"observation/image of N=5 environments must be \[5, 3, 32, 40\]"):
        loaded.act(observation | {"image": observation["image"].transpose(0, 2, 3, 1)})


def test_wrong_input_is_named_and_changes_nothing() -> None:
    policy = made(tiny())
    fine = np.zeros((2, 4), np.float32)
    policy.reset(2)
    for observations, message in (
        (
            np.zeros(4),
            r"observation of N=2 environments must be \[2, 4\], got \[4\] \(one .*observation\[None\]",
        ),
        (np.zeros((3, 4)), r"must be \[2, 4\], got \[3, 4\]"),
        (np.full((2, 4), np.nan), "observation must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            policy.act(observations)
    policy.act(fine)
    for rewards, message in (
        ([1.0], r"rewards must be \[2\], one of each environment, got \[1\]"),
        ([np.nan, 1.0], "rewards must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            policy.act(fine, rewards)
    with pytest.raises(ValueError, match="epsilon=0.5 needs an rng"):
        policy.act(fine, [0.0, 0.0], epsilon=0.5)
    with pytest.raises(ValueError, match="n must be at least 1"):
        policy.reset(0)


def test_a_network_that_misses_its_rewards_says_so_once() -> None:
    policy = made(tiny())
    policy.act(np.zeros((1, 4)))  # the first of an episode has no reward before it
    with pytest.warns(UserWarning, match="previous rewards and now sees zeros"):
        policy.act(np.zeros((1, 4)))
    blind = made(tiny(network__previous_inputs=False))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            policy.act(np.zeros((1, 4)))
            blind.act(np.zeros((1, 4)))


@pytest.mark.parametrize("name", [WEIGHTS, DESCRIPTION])
def test_damage_is_refused_with_the_file(name: str, tmp_path: Path) -> None:
    """Any bit of the weights, half a file, another network's, or none."""
    policy = made(tiny())
    folder = tmp_path / "p"

    def written() -> bytes:
        save_policy(folder, policy.network, policy.config, policy.spec, policy.origin)
        return (folder / name).read_bytes()

    size = len(written())
    if name == WEIGHTS:
        for place in range(0, size, size // 40):
            written()
            flip(folder / name, place)
            with pytest.raises(PolicyError, match=name):
                load_policy(folder)
    for content in (written()[: size // 2], b"", b"{}", b"\xff\xfe"):
        (folder / name).write_bytes(content)
        with pytest.raises(PolicyError, match=name):
            load_policy(folder)
    (folder / name).unlink()
    with pytest.raises(PolicyError, match=name):
        load_policy(folder)
    with pytest.raises(PolicyError, match="holds no policy"):
        r2d2.load(tmp_path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    policy = made(tiny())
    save_policy(tmp_path, policy.network, policy.config, policy.spec, policy.origin)
    about = json.loads((tmp_path / DESCRIPTION).read_text())
    (tmp_path / DESCRIPTION).write_text(json.dumps(about | {"format": 9}))
    with pytest.raises(PolicyError, match="has format 9, this version reads 1"):
        load_policy(tmp_path)


def test_only_a_better_score_takes_the_place_of_the_best(tmp_path: Path) -> None:
    policy = made(tiny())
    kept = Policies(tmp_path, policy.config, policy.spec, pytest.fail)
    for steps, score in ((10, float("nan")), (20, 1.0), (30, 1.0), (40, 0.5), (60, 2.0), (70, 0.0)):
        kept.keep_best(policy.network, env_steps=steps, updates=1, score=score)
    best = read_origin(tmp_path / "policies" / "best")
    assert best is not None
    assert (best.env_steps, best.score) == (60, 2.0)


def test_a_policy_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    policy = made(tiny())
    (tmp_path / "policies").touch()  # where the folder would be
    warnings: list[str] = []
    kept = Policies(tmp_path, policy.config, policy.spec, warnings.append)
    kept.keep_last(policy.network, env_steps=1, updates=1)
    assert len(warnings) == 1
    assert "could not be written into" in warnings[0]


def test_a_run_keeps_its_best_and_its_last(tmp_path: Path) -> None:
    """The best is that of the evaluation with the highest mean; each is the network of its moment."""
    run = new_run(tiny(run__steps=400, run__evaluate_period=100), tmp_path / "run")
    run.train()
    scores = {
        line["env_steps"]: line["evaluate/mean_return"]
        for line in lines(tmp_path / "run")
        if "evaluate/mean_return" in line
    }
    best, last = r2d2.load(tmp_path / "run"), r2d2.load(tmp_path / "run", "last")
    assert len(scores) > 2
    assert best.origin.score == max(scores.values())
    assert scores[best.origin.env_steps] == best.origin.score
    assert last.origin.env_steps == run.env_steps
    assert last.origin.parameter_hash == state(tmp_path / "run")["parameter_hash"]
    (tmp_path / "run" / "checkpoints").rename(tmp_path / "gone")
    assert r2d2.load(tmp_path / "run", "last").origin == last.origin, "the replay is not read"


def test_a_run_of_version_0_1_is_loaded_from_its_checkpoint(tmp_path: Path) -> None:
    run = new_run(tiny(run__steps=100), tmp_path / "run")
    run.train()
    (tmp_path / "run" / "policies").rename(tmp_path / "gone")
    loaded = r2d2.load(tmp_path / "run")
    assert parameter_hash(loaded.network) == state(tmp_path / "run")["parameter_hash"]


def test_a_run_is_exported_and_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`r2d2 export` of a run; the policy in it is the run's network."""
    run = new_run(tiny(run__steps=100), tmp_path / "run")
    run.train()
    output = call(capsys, "export", tmp_path / "run", tmp_path / "out", "--which", "last")
    assert output.code == 0, output.err
    assert "r2d2.load(" in output.out
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [DESCRIPTION, WEIGHTS]
    loaded = r2d2.load(tmp_path / "out")
    assert loaded.origin.run == "run"
    assert loaded.origin.env_steps == run.env_steps
    for name, value in run.learner.network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], value.cpu())
    output = call(capsys, "export", tmp_path / "run", tmp_path / "out")
    assert output.code == 2
    assert "exists" in output.err
    output = call(capsys, "export", tmp_path, tmp_path / "other")
    assert output.code == 2
    assert "holds no policy" in output.err
    assert not (tmp_path / "other").exists()
