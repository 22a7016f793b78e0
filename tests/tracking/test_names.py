"""Laws of `r2d2.tracking.names`: one table of metrics, which is what runs log and what the docs say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from run_cases import new_run, tiny

from r2d2.runtime import threads
from r2d2.tracking.metrics import read_metrics
from r2d2.tracking.names import CLOCKS, GROUPS, METRICS, RENAMED, table

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
# Of runs that film, of the cluster, of SAC, of MEME's scale and trust region, and of runs with resets or
# demonstrations.
ELSEWHERE = {
    "evaluate/video", "evaluate/env_steps", "learner/entropy", "learner/temperature", "learner/td_scale",
    "learner/trusted", "learner/value_scale", "learner/resets", "replay/demonstration_share",
    "replay/demonstration_priority", "replay/own_priority",
}  # fmt: skip


@pytest.mark.parametrize("runtime", ["local", "threads"])
def test_a_run_logs_exactly_what_the_table_lists(runtime: Any, tmp_path: Path) -> None:
    """`test_cluster.py` does the same for the cluster, and `run_cases.lines` for every run of the tests."""
    changes = {"run__evaluate_period": 200, "replay__replay_ratio": 12.0, "run__runtime": runtime}
    run = new_run(tiny(**changes), tmp_path)
    threads.train(run) if runtime == "threads" else run.train()
    logged = {name for record in read_metrics(tmp_path) for name in record}
    listed = {name for name in METRICS if not name.startswith("cluster/")} - ELSEWHERE
    assert logged == listed | set(CLOCKS)


def test_every_name_is_a_group_and_what() -> None:
    for name in METRICS:
        group, slash, what = name.partition("/")
        assert slash
        assert what
        assert group in GROUPS
    assert {name.partition("/")[0] for name in METRICS} == set(GROUPS)


def test_the_docs_have_the_table() -> None:
    assert DOCS.read_text().endswith(table()), "docs/metrics.md ends with names.table(): write it again"


def test_files_of_earlier_versions_are_read_under_the_names_of_today(tmp_path: Path) -> None:
    assert set(RENAMED.values()) <= set(METRICS)
    assert not set(RENAMED) & set(METRICS)
    old = {"env_steps": 10, "mean_return": 1.5, "delta_q/first": 0.25, "bytes_per_step/index": 20.0}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(old) + "\n")
    (record,) = read_metrics(tmp_path)
    assert record == {
        "env_steps": 10,
        "train/mean_return": 1.5,
        "replay/delta_q_first": 0.25,
        "bytes_per_step/index": 20.0,
    }
