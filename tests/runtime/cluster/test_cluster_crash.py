"""Laws of a crash in a cluster: the user's error is raised with its traceback, after a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster_cases import TASK, run_of
from run_cases import state, tiny

CRASHING = """
import gymnasium

class Crashing(gymnasium.Wrapper):
    made = 0

    def step(self, action):
        Crashing.made += 1
        if Crashing.made == 900:
            raise IndexError("a fault of the user's own")
        return super().step(action)

def make():
    return Crashing(gymnasium.make("CartPole-v1"))
"""


def test_a_crash_in_an_actor_is_saved_first_and_shown(tmp_path: Path) -> None:
    (tmp_path / "crashing.py").write_text(CRASHING)
    changes = TASK | {"run__checkpoint_period": 10**6, "run__steps": 10**6, "cluster__actors": 2}
    config = tiny(run__runtime="cluster", env__id="crashing.py:make", env__folder=str(tmp_path), **changes)
    run = run_of(config, tmp_path / "run")
    with pytest.raises(IndexError, match="a fault of the user's own") as raised:
        run.train()
    assert "crashing.py" in str(raised.value)  # its traceback, out of the actor's process
    assert run.rescued
    saved = state(tmp_path / "run")
    assert 100 < saved["actor"]["steps"] <= run.env_steps
    assert 3 < saved["learner"]["updates"] <= run.updates
