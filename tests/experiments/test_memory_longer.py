"""Laws of the study of longer horizons: each run is played at the lengths that it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_cases import new_run, tiny

from experiments.memory import longer
from r2d2.config import Config
from r2d2.runs import folder


def trained(config: Config, run_dir: Path) -> Path:
    folder.create(run_dir, config, "r2d2")
    run = new_run(config, run_dir)
    run.train()
    run.tracker.close()
    return run_dir


def test_a_run_is_played_at_its_length_and_beyond(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"length": 5}
    chain = tiny(env__id="MemoryChain-v0", env__options=options, network__stack=1, run__steps=120)
    run = trained(chain, tmp_path / "chain")
    assert longer.main([str(run), "--out", str(tmp_path / "longer.csv")]) == 0
    found = longer.rows(run)
    assert [row["played"] for row in found] == [5, 10, 20]
    assert all(-1.0 <= row["score"] <= 1.0 for row in found)
    assert len((tmp_path / "longer.csv").read_text().splitlines()) == 4
    assert "played 20" in capsys.readouterr().out
    other = trained(tiny(run__steps=60), tmp_path / "pole")
    with pytest.raises(ValueError, match=r"must be a run of MemoryChain-v0 with a length, got CartPole-v1"):
        longer.rows(other)
