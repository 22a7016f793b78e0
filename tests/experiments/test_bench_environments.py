"""The benchmark of environments counts every slot's steps, and writes what it prints."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from experiments.bench.environments import main, steps_per_second
from r2d2.envs.make import make


def test_every_slot_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that moves a second at each look: two steps of the vector in six looks."""
    looks = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(looks)))
    env = make("TMaze-v0", 5)
    env.reset(0)
    assert steps_per_second(env, np.zeros((3, 5), np.int64), 3.0) == 2 * 5 / 4


def test_the_command_writes_what_it_measured(tmp_path: Path) -> None:
    found = main(["TMaze-v0", "--envs", "3", "--seconds", "0.05", "--out", str(tmp_path / "found.json")])
    assert found["TMaze-v0"]["n"] == 5
    assert float(found["TMaze-v0"]["median"]) > 0
    assert json.loads((tmp_path / "found.json").read_text())["TMaze-v0"] == found["TMaze-v0"]
