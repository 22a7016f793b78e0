"""The profile's stages add up to what was timed, and its operations are those of the layers."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch
from gymnasium.spaces import Box

from r2d2.agent.losses import LOSSES
from r2d2.build import agents as build
from r2d2.cli import main as cli
from r2d2.config import Config
from r2d2.config.presets import R2D2, preset
from r2d2.envs.observations import parts_of
from r2d2.envs.vector import EnvSpec
from r2d2.runtime.profile import FORWARD, UPDATE, Workbench, profile_actor, profile_learner, profile_train
from r2d2.runtime.roofline import measure_rates, optimizer_bytes, row_operations, update_operations

STORED = preset("memory+lstm-stored")
SMALL = replace(
    STORED,
    env=replace(STORED.env, num_envs=4),
    replay=replace(STORED.replay, burn_in=2, unroll=4, n_step=1, period=2, replay_ratio=2.0),
    learner=replace(STORED.learner, batch=4),
)


@pytest.fixture(scope="module")
def bench() -> Workbench:
    return Workbench(SMALL)


def test_every_stage_of_an_update_takes_time(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """All labels of the learner are found, and what was slowed down is what the profile shows as slow."""
    stages = {stage.name: stage for stage in profile_learner(bench, 3)}
    assert set(stages) == {*UPDATE, "draw and gather", "decode", "priorities to replay"}
    assert all(stages[name].seconds > 0 for name in UPDATE)
    inner = LOSSES["squared"]

    def slow(error: torch.Tensor) -> torch.Tensor:
        time.sleep(0.2)
        return inner(error)

    monkeypatch.setitem(LOSSES, "squared", slow)
    slowed = {stage.name: stage.seconds for stage in profile_learner(bench, 3)}
    assert max(slowed, key=lambda name: slowed[name]) == "targets"
    assert slowed["targets"] == pytest.approx(0.2, rel=0.5)


def test_environments_and_network_are_told_apart(bench: Workbench) -> None:
    stages = {stage.name: stage.seconds for stage in profile_actor(bench, 3)}
    assert set(stages) == {*FORWARD, "environments", "replay write", "rest"}
    inner = bench.environments._environments.step
    bench.environments._environments.step = lambda action: (time.sleep(0.2), inner(action))[1]  # type: ignore[method-assign]
    try:
        slowed = {stage.name: stage.seconds for stage in profile_actor(bench, 3)}
    finally:
        bench.environments._environments.step = inner  # type: ignore[method-assign]
    assert max(slowed, key=lambda name: slowed[name]) == "environments"
    assert slowed["environments"] == pytest.approx(0.2, rel=0.5)


def test_a_train_profile_has_the_acting_steps_of_one_update(bench: Workbench) -> None:
    """4 x 4 trained steps at a ratio of 2 are 8 steps, two of the vector of 4."""
    one, both = profile_actor(bench, 3), {stage.name: stage for stage in profile_train(bench, 3)}
    for stage in one:
        assert both[f"actor: {stage.name}"].floor == pytest.approx(2 * stage.floor)
    assert sum(name.startswith("learner: ") for name in both) == len(UPDATE) + 3


def test_the_operations_of_the_papers_network() -> None:
    """Counted by hand: output positions times filters times inputs, two operations each."""
    network = build.network(R2D2, EnvSpec("ALE", parts_of(Box(0, 255, (84, 84), "uint8"), ""), 18, None))
    row = row_operations(network)
    first = 2 * 20 * 20 * 32 * (4 * 8 * 8)
    others = 2 * (9 * 9 * 64 * (32 * 4 * 4) + 7 * 7 * 64 * (64 * 3 * 3) + 3136 * 512)
    assert (row.encode, row.first) == (first + others, first)
    assert row.core == 2 * 4 * 512 * (512 + 19 + 512)
    assert row.heads == 2 * (2 * 512 * 512 + 512 + 512 * 18)
    total = update_operations(row, items=16, burn_in=40, unroll=80, n_step=5)
    assert total["encode"] == 16 * 2 * 125 * (first + others)
    assert total["backward"] == 16 * 80 * (first + 2 * (others + row.core + row.heads))
    parameters = sum(p.numel() for p in network.parameters())
    assert optimizer_bytes(network) == 40 * parameters


def test_rates_are_positive_numbers() -> None:
    rates = measure_rates(torch.device("cpu"), torch.float32, repeats=1)
    assert rates.operations > 1e8
    assert rates.bytes > 1e7


def test_the_command_shows_stages_and_speed(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--env.num_envs", "4", "--learner.batch", "4", "--repeats", "1", "--run.threads", "1"]
    assert cli.main(["bench", "train", "memory", *options]) == 0
    text = capsys.readouterr().out
    assert all(f"learner: {name}" in text for name in UPDATE)
    assert "updates/s" in text
    assert "floor" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lerner"], "did you mean learner"),
        (["learner", "r2d3"], "did you mean"),
        (["actor", "memory", "--repeats", "0"], "--repeats must be from 1 to 1,000,000, got 0"),
    ],
)
def test_wrong_use_is_explained(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_workbench_needs_no_large_replay() -> None:
    """The paper's replay of 4 million steps is not allocated."""
    config: Config = replace(SMALL, replay=replace(SMALL.replay, steps=4_000_000))
    assert Workbench(config).config.replay.steps < 1000
