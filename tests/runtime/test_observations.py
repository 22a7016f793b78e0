"""Observations of every kind go through a whole run: acting, replay, learning, checkpoints, evaluation, data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from run_cases import arguments, call, differences, new_run, state, tiny

from r2d2.agent.acting_state import CoreStates
from r2d2.agent.actor import Actor
from r2d2.checkpoint import checkpoint

Capture = pytest.CaptureFixture[str]

EYES = Dict(image=Box(0, 255, (3, 24, 30), np.uint8), inside=Dict(speed=Box(-9, 9, (2,)), mode=Discrete(3)))
SPACES = {
    "grid of bytes": Box(0, 9, (7, 7, 3), np.uint8),
    "grid of floats": Box(0, 1, (8, 8), np.float32),
    "grid of booleans": Box(0, 1, (10, 10, 4), np.bool_),
    "channels first": Box(0, 255, (3, 40, 40), np.uint8),
    "float frames": Box(0, 1, (24, 30, 1), np.float32),
    "bytes": Box(0, 255, (16,), np.uint8),
    "symbols": MultiDiscrete([3, 4]),
    "dict": EYES,
    "tuple": Tuple([MultiBinary(4), Box(-1, 1, ())]),
}


class Anything(gym.Env[Any, Any]):
    """Random observations of any space; six actions, of which the first pays."""

    action_space = MultiDiscrete([2, 3])

    def __init__(self, kind: str = "dict") -> None:
        self.observation_space = SPACES[kind]

    def reset(self, *, seed: int | None = None, **_: Any) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(int(self.np_random.integers(2**30)))
        self.time = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        return self.observation_space.sample(), float(not action.any()), self.time == 9, False, {}


@pytest.fixture(autouse=True)
def anything_id() -> Any:
    gym.register("Anything-v0", entry_point=Anything)
    yield
    del gym.registry["Anything-v0"]


CHANGES: dict[str, Any] = {"env__id": "Anything-v0", "run__steps": 160, "run__checkpoint_period": 80}


@pytest.mark.parametrize("kind", SPACES)
def test_a_run_sees_any_observation(kind: str, tmp_path: Path) -> None:
    """Stacked, recurrent, with normalization; a resumed run ends as an uninterrupted one does."""
    changes = CHANGES | {"env__options": {"kind": kind}, "network__normalize": True}
    whole = new_run(tiny(**changes), tmp_path / "whole")
    whole.train()
    assert whole.learner.updates > 5
    names = set(whole.replay.storage.columns) if hasattr(whole.replay, "storage") else set()
    observed = {name for name in names if name.startswith("observation")}
    assert observed == set(whole.learner.network.inputs.observations)
    again = new_run(tiny(**changes), tmp_path / "again")
    again.load(tmp_path / "whole" / "checkpoints" / "ckpt-00000001")
    again.train()
    one, other = (state(tmp_path / name) for name in ("whole", "again"))
    for part in ("learner", "replay", "actor"):
        assert differences(one[part], other[part]) == []


def test_parts_of_an_observation_stay_together(tmp_path: Path) -> None:
    """Along every sampled item: the one-hot mode, the speed and the image that came with one step."""

    class Told(Anything):
        def reset(self, **settings: Any) -> tuple[Any, dict[str, Any]]:
            super().reset(**settings)
            return self.shown(), {}

        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            _, *rest = super().step(action)
            return self.shown(), *rest  # type: ignore[return-value]

        def shown(self) -> Any:
            t = self.time
            image = np.full((3, 24, 30), t, np.uint8)
            return {"image": image, "inside": {"speed": np.full(2, t / 2, np.float32), "mode": t % 3}}

    gym.register("Told-v0", entry_point=Told)
    run = new_run(tiny(**CHANGES | {"env__id": "Told-v0"}), tmp_path)
    run.train()
    batch = run.replay.sample(32, np.random.default_rng(0))
    image = batch.columns["observation/image"][..., 0, 0, 0].astype(int)
    assert len(np.unique(image)) == 10
    np.testing.assert_array_equal(batch.columns["observation/inside/speed"][..., 0], image / 2)
    np.testing.assert_array_equal(batch.columns["observation/inside/mode"].argmax(-1), image % 3)
    del gym.registry["Told-v0"]


def test_every_command_takes_a_dict(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    changes = CHANGES | {"replay__folder": str(tmp_path / "scratch")}
    args = [*arguments(**changes), "--network.normalize", "--network.scale-vectors"]
    done = call(capsys, "train", "r2d2", *args, "--run-dir", "run")
    assert done.code == 0, done.err
    for line in (
        "observation/image: frames 24 x 30, 3 channels (first), uint8 in [0, 255], seen by torso small",
        "observation/inside/mode: one-hot vector of 3, float32 in [0, 1], seen by torso mlp",
    ):
        assert line in done.out
    for command in (
        ["resume", "run", "--steps", 240],
        ["evaluate", "run", "--episodes", 2],
        ["evaluate", "run", "--episodes", 2, "--memory", 1, 3],
        ["replay", "export", "run", "data"],
        ["replay", "info", "data", "--verify"],
        ["replay", "import", "data", "second"],
        ["resume", "second", "--steps", 300],
        ["bench", "learner", "r2d2", *arguments(**CHANGES)],
    ):
        done = call(capsys, *command)
        assert done.code == 0, (command, done.err)


def test_statistics_go_from_the_learner_to_all_who_act(tmp_path: Path) -> None:
    """The actor at its refresh, the target at once, and whoever loads the checkpoint."""
    run = new_run(tiny(**CHANGES, network__normalize=True, actor__actor_update_period=1), tmp_path)
    run.train()

    def statistics(network: torch.nn.Module) -> dict[str, torch.Tensor]:
        return {k: v for k, v in network.state_dict().items() if k.startswith("normalization")}

    own = statistics(run.learner.network)
    assert own["normalization.observation/inside/speed.count"] > 300
    saved = checkpoint.load(tmp_path / "checkpoints")["learner"]["network"]
    for name, value in own.items():
        assert torch.equal(value, statistics(run.learner.target)[name])
        assert torch.equal(value, torch.as_tensor(saved[name]))
    run.refresh_actor(run.learner.network.state_dict(), run.learner.updates)
    assert all(torch.equal(value, own[name]) for name, value in statistics(run.actor.network).items())


def test_states_of_a_dict_that_somebody_else_played_are_the_actors(tmp_path: Path) -> None:
    run = new_run(tiny(**CHANGES), tmp_path)
    assert isinstance(run.actor, Actor)
    follower = CoreStates(run.actor.network, 2)
    first = np.ones(2, np.bool_)
    for _ in range(25):
        (rows,) = run.actor.step()
        np.testing.assert_allclose(follower(rows.values, first, rows.streams), rows.core, atol=1e-6)
        first = rows.last
