"""The benchmark of whole runs: rates are those of the log, runs end, all variants run. No speed is asserted."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.bench import train as bench
from experiments.bench import whole_runs
from experiments.bench.machine import usable_device
from experiments.cluster.faults import changed
from r2d2.agent.cuda_graph import WARM_UP
from r2d2.config import Config
from r2d2.config.presets import PRESETS

LINES = [
    {"env_steps": 10, "updates": WARM_UP, "wall_seconds": 1.0, "replay/ratio": 0.1},
    {"env_steps": 100, "updates": WARM_UP + 1, "wall_seconds": 3.0, "replay/ratio": 0.5, "cluster/a_share": 0.2},
    {"env_steps": 300, "updates": WARM_UP + 3, "wall_seconds": 3.5, "replay/ratio": 0.6},
    {"env_steps": 500, "updates": WARM_UP + 9, "wall_seconds": 5.0, "replay/ratio": 0.8, "cluster/a_share": 0.4},
]  # fmt: skip


def tiny(**changes: Any) -> Config:
    changes = {name.replace("__", "."): value for name, value in changes.items()}
    return changed(PRESETS["memory"], bench.COMMON | {
        "env.num_envs": 4, "replay.min_steps": 200, "run.log_period": 100, "run.device": "cpu",
        "run.steps": 10**9, "replay.steps": 4000,
    } | changes)  # fmt: skip


def test_rates_are_those_between_the_first_line_after_warm_up_and_the_last() -> None:
    found = whole_runs._between(tiny(), LINES)
    assert found == pytest.approx(
        {"steps_per_second": 200.0, "updates_per_second": 4.0, "replay_ratio": 0.8, "a_share": 0.3}
    )


def test_a_run_too_short_for_a_rate_says_so() -> None:
    with pytest.raises(
        ValueError, match=r"run\.steps must give two log lines .* got 250 with a line every 100"
    ):
        whole_runs.rates(tiny(run__steps=250))


@pytest.mark.parametrize("runtime", ["local", "threads"])
def test_a_run_ends_when_its_seconds_of_learning_are_over(runtime: str) -> None:
    """Of a run that would take hours, and that keeps its replay ratio."""
    began = time.monotonic()
    config = tiny(run__runtime=runtime)
    found = whole_runs.rates(config, 1.0)
    assert 1.0 < found["seconds"] <= time.monotonic() - began
    assert min(found["steps_per_second"], found["updates_per_second"]) > 0
    assert found["replay_ratio"] == pytest.approx(config.replay.replay_ratio, rel=0.3)


@pytest.mark.slow
def test_the_benchmark_writes_its_results(tmp_path: Path) -> None:
    pytest.importorskip("ale_py")
    assert bench.main(["--quick", "--environments", "6", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "train.json").read_text())
    assert [row["variant"] for row in report["rows"]] == [bench.ALONE, *bench.variants(torch.device("cpu"))]
    assert report["rows"][0]["of_environments_alone"]["median"] == 1.0
    assert all(row["steps_per_second"]["median"] > 0 for row in report["rows"])
    assert all(row["updates_per_second"] > 0 for row in report["rows"][1:])
    assert report["sizes"]["environments"] == 6
    text = (tmp_path / "train.md").read_text()
    assert all(row["variant"] in text for row in report["rows"])
    assert str(tmp_path) not in text + json.dumps(report)


def test_what_a_gpu_adds_runs_on_a_cpu_as_well_but_for_graphs() -> None:
    pytest.importorskip("ale_py")
    config = bench.job(bench.QUICK, "ALE/Pong-v5", torch.device("cpu"))
    changes = bench.THREADS | bench.BFLOAT16 | {"actor.halves": True}
    (_, row) = bench.measure(config, {"all": changes}, bench.QUICK)
    assert row["updates_per_second"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "cuda:99"], "cuda:99 cannot be used here"),
        (["--repeats", "0"], "--repeats must be above 0, got 0"),
    ],
)
def test_wrong_use_is_explained(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        bench.main(arguments)
    assert raised.value.code == 2
    assert message in capsys.readouterr().err


def test_a_device_that_is_there_is_taken() -> None:
    assert usable_device("cpu") == torch.device("cpu")
