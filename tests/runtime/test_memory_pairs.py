"""Every core with every start: it trains, acts and learns at once, resumes exactly, is tested for memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_cases import new_run, tiny

from r2d2.agent.networks import parameter_hash
from r2d2.build import environments
from r2d2.config import Config
from r2d2.config.parts import CORES
from r2d2.runtime import threads
from r2d2.runtime.local import CHECKPOINTS
from r2d2.runtime.short_memory import play_with_memory

STARTS = ("stored", "zero", "refreshed", "episode")
RECALL: dict[str, Any] = {
    "env__id": "Recall-v0", "env__options": {"delay": 7}, "network__stack": 1, "run__steps": 300,
    "run__checkpoint_period": 150, "run__probe_items": 8,
}  # fmt: skip


def config(core: str, start: str, **changes: Any) -> Config:
    """Windows of 8 steps and a burn-in of 4, both of which whole episodes of 9 steps replace."""
    return tiny(**{**RECALL, "network__core": core, "replay__initial_state": start, **changes})


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("core", CORES)
def test_every_pair_trains_goes_on_bit_for_bit_and_is_tested_for_memory(
    core: str, start: str, tmp_path: Path
) -> None:
    chosen = config(core, start, network__core_layers=2 if start == "stored" else 1)
    run = new_run(chosen, tmp_path / "whole")
    run.train()
    assert run.learner.updates > 10
    first, _ = sorted((tmp_path / "whole" / CHECKPOINTS).glob("ckpt-*"))
    again = new_run(chosen, tmp_path / "again")
    again.load(first)
    again.train()
    assert again.learner.updates == run.learner.updates
    assert parameter_hash(again.learner.network) == parameter_hash(run.learner.network)
    vector = environments.vector(chosen, 3)
    for history in (None, 1, 4) if core != "none" else ():  # without a core the test is refused
        found = play_with_memory(vector, run.learner.network, history, seed=1)
        assert np.isfinite(found["mean_return"])


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("core", ["lstm", "lru"])
def test_acting_and_learning_at_once_takes_every_start(core: str, start: str, tmp_path: Path) -> None:
    run = new_run(
        replace(config(core, start), run=replace(tiny().run, runtime="threads", steps=300)), tmp_path
    )
    threads.train(run)
    assert run.learner.updates > 10


@pytest.mark.parametrize("burn_in", [0, 1, 6, 11])
def test_every_burn_in_goes_with_a_linear_core(burn_in: int, tmp_path: Path) -> None:
    run = new_run(config("lru", "refreshed", replay__burn_in=burn_in), tmp_path)
    run.train()
    assert run.learner.updates > 10


def test_episodes_of_a_thousand_steps_fit(tmp_path: Path) -> None:
    """Each is one item, trained from its first step to its last; what is kept grows with the steps alone."""
    run = new_run(
        config(
            "lru", "episode", env__id="MemoryChain-v0", env__options={"length": 999}, run__steps=4100,
            run__checkpoint_period=10**9, replay__steps=4000, replay__replay_ratio=1.0, replay__min_steps=1500,
            learner__batch=2,
        ),
        tmp_path,
    )  # fmt: skip
    assert (run.resolved.replay.unroll, run.resolved.replay.burn_in) == (1000, 0)
    run.train()
    assert run.learner.updates >= 1
    items = run.replay.get(run.replay.items.ids(run.replay.items.places))
    assert 1000 in set(items.length)
    assert run.replay.nbytes < 4000 * 250
