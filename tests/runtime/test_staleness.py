"""Laws of a whole run: which states its items have, and how stale it says that they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_cases import lines, new_run, tiny

from r2d2.runtime.local import LocalRun

RUN: dict[str, Any] = {"replay__replay_ratio": 12.0, "replay__burn_in": 2, "run__checkpoint_period": 10**9}


def trained(folder: Path, mode: str, **changes: Any) -> LocalRun:
    run = new_run(tiny(**RUN | {"replay__initial_state": mode} | changes), folder)
    run.train()
    return run


def states(run: LocalRun) -> np.ndarray:
    """The stored states of all items, in the order of their ids."""
    items = run.replay.items
    return items.core[items.places[np.argsort(items.ids(items.places))]]


def found(folder: Path, name: str) -> list[float]:
    return [line[name] for line in lines(folder) if name in line]


def test_refreshed_states_are_written_back_and_with_frozen_weights_are_the_actors(tmp_path: Path) -> None:
    """A learning rate of 0 makes both runs act and draw alike, so states differ by rounding at most. (That they
    are written at all shows in the next test, where weights move.)"""
    stored, refreshed = (
        states(trained(tmp_path / mode, mode, learner__learning_rate=0.0)) for mode in ("stored", "refreshed")
    )
    np.testing.assert_allclose(refreshed, stored, atol=1e-5)
    assert stored.any(1).sum() > 10


def test_refreshed_states_move_with_the_weights(tmp_path: Path) -> None:
    """The actor acts with its first weights all along, so stored states are as stale as can be."""
    changes = {"learner__learning_rate": 3e-3, "actor__actor_update_period": 10**6}
    runs = {mode: trained(tmp_path / mode, mode, **changes) for mode in ("stored", "refreshed")}
    assert runs["stored"].actor_updates == 0
    assert np.abs(states(runs["stored"]) - states(runs["refreshed"])).max() > 0.01


def test_delta_q_is_logged_and_is_that_of_the_mode(tmp_path: Path) -> None:
    """With frozen weights: zero for stored state, not for zero state; none for a feed-forward network."""
    for mode, stale in (("stored", False), ("refreshed", False), ("zero", True)):
        trained(tmp_path / mode, mode, learner__learning_rate=0.0)
        for name in ("replay/delta_q_first", "replay/delta_q_last"):
            values = found(tmp_path / mode, name)
            assert len(values) > 1
            assert all(value > 2e-4 for value in values) if stale else max(values) < 2e-5
    trained(tmp_path / "none", "stored", network__core="none")
    assert found(tmp_path / "none", "learner/loss")
    assert not found(tmp_path / "none", "replay/delta_q_first")


def test_age_and_lag_are_logged_in_updates(tmp_path: Path) -> None:
    """With the newest weights at every step lag is age; with the first ones it is the number of updates."""
    trained(tmp_path / "never", "stored", actor__actor_update_period=10**6)
    trained(tmp_path / "often", "stored", actor__actor_update_period=1)
    for folder in ("never", "often"):
        age, lag = found(tmp_path / folder, "replay/age"), found(tmp_path / folder, "replay/parameter_lag")
        assert age[-1] > 10
        assert all(0 <= a <= b for a, b in zip(age, lag, strict=True))
    assert found(tmp_path / "often", "replay/parameter_lag") == found(tmp_path / "often", "replay/age")
    updates = [line["updates"] for line in lines(tmp_path / "never") if "replay/parameter_lag" in line]
    means = [(a + b - 1) / 2 for a, b in zip([0, *updates], updates, strict=False)]  # updates before each one
    assert found(tmp_path / "never", "replay/parameter_lag") == pytest.approx(means)
