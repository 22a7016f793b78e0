"""Learning proofs: recurrence is what solves a memory task, and the presets learn at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from r2d2.config import Config
from r2d2.config.presets import DQN, R2D2_SMALL
from r2d2.runtime.local import LocalRun
from r2d2.tracking.metrics import read_metrics
from r2d2.tracking.tracker import Tracker


def recall(core: Literal["lstm", "gru", "none"], *, delay: int, seed: int, steps: int) -> Config:
    """Recall with sequences as long as an episode, and a network small enough for seconds of training."""
    length, base = delay + 2, R2D2_SMALL
    return replace(
        base,
        env=replace(base.env, id="Recall-v0", num_envs=16, options={"delay": delay}),
        network=replace(
            base.network, stack=1, features=32, core=core, core_width=32, hidden=32, forget_bias=1.0
        ),
        replay=replace(
            base.replay, steps=20_000, burn_in=0, unroll=length, period=length, n_step=3, replay_ratio=16.0,
            min_steps=1000,
        ),
        learner=replace(
            base.learner, batch=32, learning_rate=2e-3, adam_epsilon=1e-5, target_period=50
        ),
        actor=replace(base.actor, actor_update_period=4),
        run=replace(
            base.run, seed=seed, steps=steps, threads=1, evaluate_period=2000, evaluate_episodes=64,
            checkpoint_period=10**9, video_period=0, track="none", stop_return=0.95,
        ),
    )  # fmt: skip


def train(config: Config, folder: Path) -> list[float]:
    """The mean returns of the run's evaluations."""
    LocalRun(config, folder, Tracker(folder)).train()
    lines = read_metrics(folder / "metrics.jsonl")
    return [line["evaluate/mean_return"] for line in lines if "evaluate/mean_return" in line]


def test_recurrence_solves_recall_and_the_same_network_without_it_does_not(tmp_path: Path) -> None:
    """The cue is shown once: with an LSTM the answer is right, without memory it is a guess (-0.5)."""
    with_memory = train(recall("lstm", delay=5, seed=0, steps=24_000), tmp_path / "lstm")
    without = train(recall("none", delay=5, seed=0, steps=12_000), tmp_path / "none")
    assert max(with_memory) >= 0.95
    assert max(without) <= 0.0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("core", ["lstm", "gru"])
def test_recall_with_a_longer_delay(core: Literal["lstm", "gru"], seed: int, tmp_path: Path) -> None:
    """Ten distractors between cue and question, over seeds and both cores."""
    assert max(train(recall(core, delay=10, seed=seed, steps=60_000), tmp_path)) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_dqn_learns_cartpole(seed: int, tmp_path: Path) -> None:
    """One trained step per item is DQN: 195, from 20 at random, within 50,000 steps."""
    config = replace(
        DQN,
        env=replace(DQN.env, id="CartPole-v1", num_envs=8),
        network=replace(DQN.network, stack=1, features=128, hidden=128),
        replay=replace(DQN.replay, steps=50_000, min_steps=1000, replay_ratio=16.0),
        learner=replace(
            DQN.learner, batch=64, optimizer="adam", learning_rate=5e-4, adam_epsilon=1e-6, max_grad_norm=10.0,
            loss="squared", target_period=200, reward_clip=0.0,
        ),
        actor=replace(DQN.actor, epsilon_steps=10_000, epsilon_end=0.04),
        run=replace(
            DQN.run, seed=seed, steps=50_000, threads=1, evaluate_period=2500, evaluate_episodes=10,
            checkpoint_period=10**9, video_period=0, track="none", stop_return=195.0,
        ),
    )  # fmt: skip
    assert max(train(config, tmp_path)) >= 195.0
