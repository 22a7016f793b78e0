"""Laws of the cluster's benchmark: the sizing table follows from the rates, and all parts run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.bench import cluster
from experiments.cluster.faults import changed
from r2d2.config.presets import R2D2


def test_the_sizing_table_follows_from_the_measured_rates() -> None:
    """By hand: an actor of 100 steps/s at 50 bytes, shards of 400 and 900 steps/s, ratio 2, batches of 10 x 5."""
    config = changed(R2D2, {"replay.replay_ratio": 2.0, "replay.unroll": 5, "learner.batch": 10})
    rates = [
        {"actors": 2, "steps_per_second": 180.0, "bytes_per_step": 50.0},
        {"actors": 1, "steps_per_second": 100.0, "bytes_per_step": 50.0},
    ]
    report = {"acting": rates, "shard": [{"steps_per_second": 900.0}, {"steps_per_second": 400.0}]}
    rows = {row["actors"]: row for row in cluster.sizing(config, report)}
    assert list(rows) == [1, 4, 16, 64, 256]
    assert rows[16] == {
        "actors": 16,
        "steps_per_second": 1600.0,
        "megabytes_per_second": 0.08,
        "shards": 4,
        "updates_per_second": 64.0,
    }
    assert rows[1]["shards"] == 1


@pytest.mark.slow  # a minute and more: Ray is started, and every part runs once
def test_all_parts_run(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    cluster.main(
        ["--out", str(tmp_path), "--actors", "1", "--seconds", "2", "--steps", "3000", "--steps-pixels", "1500",
         "--packets", "3"]
    )  # fmt: skip
    report = json.loads((tmp_path / "bench.json").read_text())
    assert [row["runtime"] for row in report["overhead"]] == ["local", "local", "threads", "cluster"] * 2
    assert all(row["updates_per_second"] > 0 for row in report["overhead"])
    assert [row["how"] for row in report["shard"]] == ["in one process", "through Ray"]
    assert (tmp_path / "bench.md").exists()
