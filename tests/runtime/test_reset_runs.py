"""Resets in whole runs: the same numbers across a resume, in every runtime, and what becomes of stored states."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from role_cases import InlineFleet, cluster
from run_cases import differences, lines, new_run, state, tiny

from r2d2.build import agents as build
from r2d2.config import check_config
from r2d2.runtime import threads
from r2d2.runtime.stale_states import without_stale_states

RESETS: dict[str, Any] = {
    "learner__reset_period": 8, "learner__reset_last": 30, "replay__replay_ratio": 3.0,
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "q": RESETS | {"learner__reset_states": "zero"},
    "refreshed": RESETS | {"replay__initial_state": "refreshed", "learner__target_averaging": 0.1},
    "sac": RESETS
    | {
        "env__id": "Pendulum-v1", "env__options": {"max_episode_steps": 30}, "learner__method": "sac",
        "learner__rescaling": False, "actor__exploration": "noise", "learner__reset_shrink": 0.0,
    },
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_run_resumed_between_resets_equals_an_uninterrupted_one(case: str, tmp_path: Path) -> None:
    config = tiny(**CASES[case])
    whole = new_run(config, tmp_path / "whole")
    whole.train()
    shutil.copytree(tmp_path / "whole", tmp_path / "again")
    shutil.rmtree(tmp_path / "again" / "checkpoints" / "ckpt-00000002")
    again = new_run(config, tmp_path / "again")
    again.load(tmp_path / "again" / "checkpoints" / "ckpt-00000001")
    assert 8 < again.updates < 24, "there must be resets before and after"
    again.train()
    assert again.updates > 30
    assert differences(state(tmp_path / "again"), state(tmp_path / "whole")) == []
    assert lines(tmp_path / "again") == lines(tmp_path / "whole")
    found = [line["learner/resets"] for line in lines(tmp_path / "whole") if "learner/resets" in line]
    assert found[-1] == 3.0
    other = new_run(tiny(**CASES[case], run__seed=1), tmp_path / "other")
    other.train()
    assert differences(
        state(tmp_path / "other")["learner"]["network"], state(tmp_path / "whole")["learner"]["network"]
    )


def test_the_nth_reset_of_a_run_draws_the_same_weights_in_every_process(tmp_path: Path) -> None:
    """Not those of its start, nor those of another reset."""
    config = tiny(**RESETS)
    run = new_run(config, tmp_path)
    spec = run.environments.spec

    def drawn(number: int) -> bytes:
        resets = build.resets(config, spec)
        assert resets is not None
        return b"".join(p.detach().numpy().tobytes() for p in resets._fresh(number).parameters())

    begun = b"".join(p.detach().numpy().tobytes() for p in build.network(config, spec).parameters())
    assert drawn(1) == drawn(1)
    assert len({begun, drawn(1), drawn(2)}) == 3
    assert build.resets(tiny(), spec) is None


def test_threads_reset_too(tmp_path: Path) -> None:
    run = new_run(tiny(**RESETS, run__runtime="threads"), tmp_path)
    threads.train(run)
    assert [line["learner/resets"] for line in lines(tmp_path) if "learner/resets" in line][-1] > 1


def test_a_cluster_resets_too_and_its_shards_zero_the_states(tmp_path: Path) -> None:
    fleet = InlineFleet(cluster(**CASES["q"], cluster__shards=1, cluster__actors=1), tmp_path)
    for _ in range(12):
        fleet.act()
        fleet.learn()
    learner = fleet.learner.learner
    assert learner.updates > 10
    twin = build.network(fleet.config, fleet.actors[0].environments.spec)
    assert differences(twin.state_dict(), learner.network.state_dict())
    assert fleet.learner.meter._sums["learner/resets"] > 0


def test_states_from_before_the_last_reset_are_zero_if_asked(tmp_path: Path) -> None:
    """By the weights that acted: items of the youngest ones keep theirs."""
    config = tiny(**CASES["q"])
    run = new_run(config, tmp_path)
    while run.updates < 12:
        run.act(cut=False)
        run._learn()
        run._refresh_actor()
    ids = run.replay.items.ids(run.replay.items.places)  # type: ignore[union-attr]
    batch = run.replay.get(ids)
    acted = run.ages.acted(ids)
    assert set((acted < 8).tolist()) == {True, False}
    found = without_stale_states(config, batch, run.ages, run.updates)
    assert not found.core[acted < 8].any()
    np.testing.assert_array_equal(found.core[acted >= 8], batch.core[acted >= 8])
    assert batch.core[acted < 8].any(), "the batch that was given is changed, or the test proves nothing"
    assert without_stale_states(config, batch, run.ages, 7) is batch
    assert without_stale_states(tiny(**RESETS), batch, run.ages, run.updates) is batch
    assert run.ages.acted(np.array([10**6])).tolist() == [-1]


def test_resets_that_mean_nothing_are_refused() -> None:
    for changes, message in (
        ({"learner__reset_shrink": 1.0, "learner__reset_heads": False}, "reset_period=8 resets nothing"),
        (
            {"learner__reset_states": "zero", "replay__initial_state": "zero"},
            "initial_state stored, got zero",
        ),
        ({"learner__reset_states": "zero", "replay__initial_state": "refreshed"}, "got refreshed"),
    ):
        with pytest.raises(ValueError, match=message):
            check_config(tiny(**RESETS | changes))
