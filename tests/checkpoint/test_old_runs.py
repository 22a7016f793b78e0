"""Runs that version 0.1 began are resumed, and their numbers go on as they did there.

`tests/data/runs-0.1.tar.xz` holds three run folders that the code before the rooms were made wrote, with two
checkpoints each: `before` (refreshed LSTM states, a mixture with a reservoir, renamed config fields), `pixels`
(compressed frames, local) and `cluster` (one actor, one shard).
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch

from r2d2.checkpoint.checkpoint import load
from r2d2.cli.main import main
from r2d2.runs.folder import read_config

RUNS = Path(__file__).parents[1] / "data" / "runs-0.1.tar.xz"


@pytest.fixture
def old_runs(tmp_path: Path) -> Path:
    with tarfile.open(RUNS) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def checkpoints(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("ckpt-*"))


def parameters(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = load(path)["learner"]["network"]
    return state


@pytest.mark.parametrize("name", ["before", "pixels"])
def test_a_run_resumed_from_the_first_checkpoint_ends_as_it_did(name: str, old_runs: Path) -> None:
    """To rounding, since another processor may have other kernels."""
    first, last = checkpoints(old_runs / name)
    began, ended, updates = parameters(first), parameters(last), load(last)["learner"]["updates"]
    assert any(not torch.equal(began[key], ended[key]) for key in began), "nothing was learned in between"
    assert main(["resume", str(old_runs / name), "--checkpoint", str(first)]) == 0
    again = load(checkpoints(old_runs / name)[-1])
    assert again["learner"]["updates"] == updates
    for key, value in ended.items():
        torch.testing.assert_close(again["learner"]["network"][key], value, rtol=1e-4, atol=1e-5)


def test_a_run_on_a_cluster_is_resumed(old_runs: Path) -> None:
    run = old_runs / "cluster"
    steps = load(checkpoints(run)[-1])["actor"]["steps"]
    assert main(["resume", str(run), "--steps", str(steps + 100)]) == 0
    assert load(checkpoints(run)[-1])["actor"]["steps"] >= steps + 100


def test_renamed_fields_are_read_under_their_old_names(old_runs: Path) -> None:
    config, _ = read_config(old_runs / "before")
    assert config.env.num_envs == 4
    assert config.replay.replay_ratio == 4.0
    assert config.replay.normalize == "batch"
    assert config.learner.gradient_accumulation_steps == 2
    assert config.learner.max_grad_norm == 20.0
    assert config.actor.actor_update_period == 4
    assert config.network.head == "dueling"
