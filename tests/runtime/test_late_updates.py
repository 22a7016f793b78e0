"""Laws of updates that are read late, as on a GPU: one late, none lost, and exact across a resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_cases import differences, new_run, state, tiny

from r2d2.agent.learner import Learner
from r2d2.runs.folder import CHECKPOINTS


@pytest.fixture
def _asynchronous(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every learner puts its findings off, as on a GPU."""
    make = Learner.__init__

    def late(self: Learner, *args: Any, **options: Any) -> None:
        make(self, *args, **options | {"asynchronous": True})

    monkeypatch.setattr(Learner, "__init__", late)


@pytest.mark.usefixtures("_asynchronous")
@pytest.mark.parametrize("mode", ["stored", "refreshed"])
def test_each_update_is_read_once_and_one_late(mode: str, tmp_path: Path) -> None:
    """Its priorities go to the items of its batch after the next update was made, the last ones at the save."""
    run = new_run(tiny(run__steps=200, replay__initial_state=mode), tmp_path)
    made: list[tuple[Any, Any]] = []
    read: list[tuple[int, Any, Any]] = []
    update, put = run.learner.update, run.replay.update_priorities

    def noted(batch: Any) -> Any:
        made.append((batch.ids.copy(), update(batch)))
        return made[-1][1]

    def putting(ids: Any, priorities: Any, *, initial: bool = False) -> None:
        if not initial:
            read.append((run.learner.updates, ids, priorities))
        put(ids, priorities, initial=initial)

    run.learner.update = noted  # type: ignore[method-assign]
    run.replay.update_priorities = putting  # type: ignore[method-assign, assignment]
    run.train()
    assert len(read) == len(made) == run.learner.updates > 5
    for number, ((ids, found), (after, at, priorities)) in enumerate(zip(made, read, strict=True), 1):
        np.testing.assert_array_equal(at, ids)
        np.testing.assert_array_equal(priorities, found.priorities)
        assert after == min(number + 1, len(made))


@pytest.mark.usefixtures("_asynchronous")
def test_a_checkpoint_holds_what_every_update_found(tmp_path: Path) -> None:
    """A run that goes on from a checkpoint equals the one that was left alone, bit for bit."""
    config = tiny(run__probe_items=9)
    whole = new_run(config, tmp_path / "whole")
    whole.train()
    resumed = new_run(config, tmp_path / "whole")
    resumed.load(tmp_path / "whole" / CHECKPOINTS / "ckpt-00000001")
    assert 3 < resumed.learner.updates < whole.learner.updates
    expected = state(tmp_path / "whole")
    resumed.train()
    assert differences(state(tmp_path / "whole"), expected) == []
