"""The frozen context in whole runs: every core and start, resumed bit for bit; threads, evaluation, datasets,
policies, vector actions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from run_cases import arguments, call, differences, new_run, state, tiny

import r2d2
from r2d2.agent.networks import parameter_hash
from r2d2.build import environments
from r2d2.config import Config
from r2d2.config.parts import CORES
from r2d2.dataset.dataset import open_dataset
from r2d2.replay.episodes import read_episode, stored_episodes
from r2d2.runtime import threads, training
from r2d2.runtime.short_memory import play_with_memory
from r2d2.types import FROZEN

STARTS = ("stored", "zero", "refreshed", "episode")
RECURRENT = [core for core in CORES if core != "none"]
# Each core and each start, and all starts with the LSTM.
PAIRS = [(core, STARTS[i % len(STARTS)]) for i, core in enumerate(RECURRENT)] + [
    ("lstm", start) for start in STARTS[1:]
]
SPACES = {
    "frames": Box(0, 255, (24, 24), np.uint8),
    "grid": Box(0, 1, (7, 7, 2), np.bool_),
    "both": Dict(image=Box(0, 255, (3, 24, 30), np.uint8), speed=Box(-9, 9, (2,))),
}


class Noise(gym.Env[Any, Any]):
    """Random observations; the first of three actions pays, or vectors near 0 do."""

    def __init__(self, kind: str = "grid", vectors: bool = False) -> None:
        self.observation_space = SPACES[kind]
        self.action_space = Box(-1, 1, (2,)) if vectors else Discrete(3)

    def reset(self, *, seed: int | None = None, **_: Any) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(int(self.np_random.integers(2**30)))
        self.time = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        return self.observation_space.sample(), float(1 - np.abs(action).sum()), self.time == 13, False, {}


@pytest.fixture(autouse=True)
def noise_id() -> Any:
    gym.register("Noise-v0", entry_point=Noise, max_episode_steps=20)
    yield
    del gym.registry["Noise-v0"]


CHANGES: dict[str, Any] = {
    "env__id": "Noise-v0", "network__context": "frozen", "network__context_features": 5, "run__steps": 200,
    "run__checkpoint_period": 100, "run__probe_items": 8,
}  # fmt: skip
CONTROL: dict[str, Any] = {
    "learner__rescaling": False, "learner__target_period": 1, "learner__target_averaging": 0.1,
    "actor__exploration": "noise", "actor__random_steps": 40,
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "frames, compressed": {"env__options": {"kind": "frames"}},
    "frames and a vector": {"env__options": {"kind": "both"}, "replay__codec": "raw"},
    "impala": {
        "env__options": {"kind": "frames"},
        "network__torso": "impala",
        "network__spectral_norm": True,
    },
    "mixture": {"replay__long_term": 0.25, "learner__batch": 8, "replay__burn_in": 7},
    "no burn-in": {"replay__burn_in": 0, "network__core_layers": 2},
    "accumulated, retrace": {"learner__gradient_accumulation_steps": 3, "learner__target": "retrace"},
    "bfloat16": {"learner__precision": "bfloat16", "actor__precision": "bfloat16"},
    "c51": {"network__head": "c51", "learner__optimizer": "adamw"},
    "sac": CONTROL | {"learner__method": "sac", "env__options": {"vectors": True}},
    "td3": CONTROL
    | {"learner__method": "td3", "learner__policy_period": 2, "env__options": {"vectors": True}},
    "ddpg, one core": CONTROL
    | {"learner__method": "ddpg", "network__shared_core": True, "env__options": {"vectors": True}},
}


def config(core: str = "lstm", start: str = "stored", **changes: Any) -> Config:
    return tiny(**{**CHANGES, "network__core": core, "replay__initial_state": start, **changes})


def trained_and_again(made: Config, folder: Path) -> Any:
    """A run to its end, and the same from its first checkpoint: nothing differs. Returns the first."""
    run = new_run(made, folder / "whole")
    before = {name: value.clone() for name, value in run.learner.network.state_dict().items()}
    run.train()
    assert run.learner.updates > 3
    after = run.learner.network.state_dict()
    fixed = {name for name in before if torch.equal(before[name], after[name])}
    assert fixed >= {name for name in before if name.startswith("frozen.")} != set()
    again = new_run(made, folder / "again")
    again.load(folder / "whole" / "checkpoints" / "ckpt-00000001")
    assert again.learner.updates < run.learner.updates
    again.train()
    one, other = (state(folder / name) for name in ("whole", "again"))
    for part in ("learner", "replay", "actor", "actor_network", "probe"):
        assert differences(one[part], other[part]) == []
    return run


@pytest.mark.parametrize(("core", "start"), PAIRS)
def test_every_core_and_start_trains_and_goes_on_bit_for_bit(core: str, start: str, tmp_path: Path) -> None:
    made = config(core, start)
    run = trained_and_again(made, tmp_path)
    vector = environments.vector(made, 3)
    for history in (None, 2):
        found = play_with_memory(vector, run.learner.network, history, seed=1)
        assert np.isfinite(found["mean_return"])
    assert play_with_memory(vector, run.learner.network, 40, seed=1)["max_q_difference"] < 1e-5


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_goes_with_what_there_is(variant: str, tmp_path: Path) -> None:
    trained_and_again(config(**VARIANTS[variant]), tmp_path)


@pytest.mark.parametrize("halves", [False, True])
def test_acting_and_learning_at_once(halves: bool, tmp_path: Path) -> None:
    made = config(actor__halves=halves)
    run = new_run(replace(made, run=replace(made.run, runtime="threads")), tmp_path)
    threads.train(run)
    assert run.learner.updates > 3


def test_an_exported_policy_has_the_encoder(tmp_path: Path) -> None:
    assert training.start(config(), tmp_path / "run", preset="") == 0
    policy = r2d2.load(tmp_path / "run")
    assert parameter_hash(policy.network) == state(tmp_path / "run")["parameter_hash"]
    observation = np.zeros((1, 7, 7, 2), np.bool_)
    policy.reset(1)
    assert policy.act(observation).shape == (1,)
    assert policy.act(observation, [0.0]).shape == (1,)


def test_a_dataset_has_no_features_and_another_run_computes_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the encoder of its own seed, along whole episodes."""
    assert training.start(config(run__checkpoint_period=10**9), tmp_path / "run", preset="") == 0
    assert call(capsys, "replay", "export", tmp_path / "run", tmp_path / "data").code == 0
    source = open_dataset(tmp_path / "data")
    assert FROZEN not in source.head["columns"]
    given = arguments(**CHANGES, run__seed=7)
    output = call(capsys, "replay", "import", tmp_path / "data", tmp_path / "filled", "r2d2", *given)
    assert output.code == 0, output.err
    filled = new_run(config(run__seed=7), tmp_path / "filled")
    filled.load(sorted((tmp_path / "filled" / "checkpoints").glob("ckpt-*"))[-1])
    encoder, replay = filled.learner.network.frozen, filled.replay
    episodes = stored_episodes(replay)
    checked = 0
    for index in range(len(episodes)):
        columns = read_episode(replay, episodes, index)
        if columns["previous_action"][0] == 0:
            grids = columns["observation"]
            stacks = np.concatenate([np.concatenate([grids[:1], grids[:-1]]), grids], -1).transpose(
                0, 3, 1, 2
            )
            expected = encoder({"observation": torch.from_numpy(stacks.copy())}).numpy()
            np.testing.assert_allclose(columns[FROZEN], expected, rtol=2e-3, atol=2e-3)
            checked += 1
    assert checked > 3
