"""The benchmark of cores runs, and what it makes up is taken by every core. No time is asserted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from experiments.bench import cores as bench
from r2d2.config.parts import CORES


def test_it_writes_a_number_for_every_core(tmp_path: Path) -> None:
    assert bench.main(["--quick", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "cores.json").read_text())
    for found in report["updates"].values():
        assert set(found) == set(CORES)
        assert found["lstm"]["times_lstm"] == 1.0
        assert all(np.isfinite(value) and value > 0 for core in found.values() for value in core.values())
    assert all(core in (tmp_path / "cores.md").read_text() for core in CORES)


def test_an_update_trains_the_steps_that_it_says() -> None:
    sizes = bench.QUICK[0]
    batch = bench.batch_of("lru", sizes)
    assert batch.columns["action"].shape == (sizes.batch, sizes.burn_in + sizes.unroll + sizes.n_step)
    assert batch.steps == sizes.batch * sizes.unroll
    assert bench.config_of("lru", sizes).replay.initial_state == "stored"
