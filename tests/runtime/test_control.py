"""Continuous control in whole runs: every pair of method, core and start trains, resumes and acts again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from run_cases import call, differences, lines, new_run, state, tiny

import r2d2
from r2d2.config import Config
from r2d2.runtime import training

CONTROL: dict[str, Any] = {
    "env__id": "MaskedPendulumContinuous-v0", "env__options": {"steps": 23}, "network__stack": 1,
    "learner__rescaling": False, "learner__target_period": 1, "learner__target_averaging": 0.1,
    "actor__exploration": "noise", "actor__random_steps": 40, "run__steps": 240, "run__checkpoint_period": 130,
}  # fmt: skip
STARTS = {
    "stored": {},
    "zero": {"replay__initial_state": "zero"},
    "refreshed": {"replay__initial_state": "refreshed", "run__probe_items": 9},
    "episode": {"replay__initial_state": "episode"},
}
METHODS: dict[str, dict[str, Any]] = {
    "sac": {"learner__method": "sac"},
    "td3": {"learner__method": "td3", "learner__policy_period": 2, "actor__action_noise": 0.1},
    "ddpg": {"learner__method": "ddpg", "network__shared_core": True, "replay__selector": "uniform"},
}
CORES = ["lstm", "gru", "lru", "mingru", "ffm", "none"]
# Each method with each core and each start, but not all three of everything.
PAIRS = [
    (method, core, start)
    for i, method in enumerate(METHODS)
    for j, core in enumerate(CORES)
    for start in [list(STARTS)[(i + j) % len(STARTS)]]
] + [("sac", "lstm", start) for start in STARTS if start != "stored"]  # fmt: skip


def config(method: str, core: str, start: str, **changes: Any) -> Config:
    return tiny(**{**CONTROL, **METHODS[method], "network__core": core, **STARTS[start], **changes})


@pytest.mark.parametrize(("method", "core", "start"), PAIRS)
def test_every_pair_trains_and_its_checkpoint_goes_on(
    method: str, core: str, start: str, tmp_path: Path
) -> None:
    """All parameters move and stay finite; a run from its checkpoint ends with the same state, bit for bit."""
    made = config(method, core, start)
    whole = new_run(made, tmp_path / "whole")
    before = {name: value.clone() for name, value in whole.learner.network.state_dict().items()}
    whole.train()
    after = whole.learner.network.state_dict()
    assert all(torch.isfinite(value).all() for value in after.values())
    assert len(differences(before, dict(after))) == len(before)
    checkpoints = sorted((tmp_path / "whole" / "checkpoints").glob("ckpt-*"))
    assert len(checkpoints) == 2
    again = new_run(made, tmp_path / "again")
    again.load(checkpoints[0])
    assert 0 < again.learner.updates < whole.learner.updates
    again.train()
    names = ("learner", "actor", "replay", "limiter", "actor_network", "rng", "parameter_hash")
    first, second = whole.state_dict(), again.state_dict()
    assert differences({n: first[n] for n in names}, {n: second[n] for n in names}) == []


def test_acting_and_learning_at_once(tmp_path: Path) -> None:
    made = config("sac", "lstm", "stored", run__runtime="threads")
    assert training.start(made, tmp_path / "run", preset="") == 0
    assert lines(tmp_path / "run")[-1]["updates"] > 3


def test_what_a_trained_run_is_good_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Evaluation, the memory test, export and a policy that acts in Gymnasium's own environment."""
    made = config("sac", "gru", "stored", env__id="Pendulum-v1", env__options={"max_episode_steps": 23})
    run_dir = tmp_path / "run"
    assert training.start(made, run_dir, preset="") == 0
    assert call(capsys, "evaluate", run_dir, "--episodes", 2).code == 0
    memory = call(capsys, "evaluate", run_dir, "--episodes", 2, "--memory", 1, 3)
    assert memory.code == 0, memory.err
    assert "equal actions" in memory.out
    assert call(capsys, "export", run_dir, tmp_path / "policy").code == 0
    for folder in (run_dir, tmp_path / "policy"):
        policy = r2d2.load(folder, "last")
        env = gym.make("Pendulum-v1")
        observation, _ = env.reset(seed=0)
        policy.reset(1)
        reward = 0.0
        for _ in range(5):
            action = policy.act(observation[None], [reward])[0]
            assert action in env.action_space
            observation, reward, *_ = env.step(action)
        rng = np.random.default_rng(0)
        explored = [policy.act(observation[None], [0.0], epsilon=1.0, rng=rng)[0, 0] for _ in range(20)]
        assert np.ptp(explored) > 1.0  # of -2 to 2


def test_the_replay_goes_out_as_a_dataset_and_into_another_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = config("td3", "lstm", "stored", replay__selector="proportional")
    assert training.start(made, tmp_path / "run", preset="") == 0
    assert call(capsys, "replay", "export", tmp_path / "run", tmp_path / "data").code == 0
    from r2d2.dataset.dataset import open_dataset, read

    episodes = list(read(tmp_path / "data"))
    assert (
        sum(len(episode["action"]) - 1 for episode in episodes)
        == open_dataset(tmp_path / "data").head["steps"]
    )
    for episode in episodes:
        assert episode["action"].shape[1:] == (1,)
        assert np.array_equal(episode["previous_action"][1:, 1:], episode["action"][:-1])


def test_a_dict_of_observations_and_a_box_of_any_shape(tmp_path: Path) -> None:
    made = config("sac", "lstm", "stored", env__id=f"{__name__}:Grid", env__options={})
    run = new_run(made, tmp_path)
    run.train()
    assert run.learner.updates > 3
    assert run.replay.columns["action"].shape == (4,)


class Grid(gym.Env[Any, Any]):
    """Two parts to see, four numbers as [2, 2] to give, each with bounds of its own."""

    observation_space = gym.spaces.Dict(
        {"place": gym.spaces.Box(-1, 1, (2,)), "kind": gym.spaces.Discrete(3)}
    )
    action_space = gym.spaces.Box(
        np.array([[0, -3], [1, -1]], np.float32), np.array([[1, 3], [5, 0]], np.float32)
    )

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.time = 0
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert action in self.action_space
        self.time += 1
        return self._seen(), float(-np.abs(action).sum()), self.time == 9, False, {}

    def _seen(self) -> dict[str, Any]:
        return {"place": self.np_random.uniform(-1, 1, 2).astype(np.float32), "kind": self.time % 3}


def test_the_command_line_names_the_preset_that_would_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = call(
        capsys, "train", "r2d2-small", "--env", "Pendulum-v1", "--track", "none", "--run-dir", tmp_path / "a"
    )
    assert wrong.code != 0
    assert "use preset sac, td3 or ddpg, or with memory rsac" in wrong.err
    wrong = call(
        capsys, "train", "rsac", "--env", "CartPole-v1", "--track", "none", "--run-dir", tmp_path / "b"
    )
    assert wrong.code != 0
    assert "use preset dqn or r2d2, or memory on a small task" in wrong.err


def test_the_state_of_a_run_has_that_of_the_learners_noise(tmp_path: Path) -> None:
    made = config("sac", "none", "stored")
    assert training.start(made, tmp_path / "run", preset="") == 0
    assert "rng" in state(tmp_path / "run")["learner"]
