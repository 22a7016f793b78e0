"""Laws of `r2d2.report.run`: every run folder is read, whoever wrote it and whether or not it is being written."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest
from folder_cases import write_run
from run_cases import call

from r2d2.report.run import read_run, read_runs
from r2d2.runs.folder import RunError
from r2d2.tracking.names import RENAMED

OLD = {today: old for old, today in RENAMED.items()}


def test_scores_are_those_of_greedy_episodes(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "a", scores=[0, 1, 0.5, 0.1, 0.3, 0.5, 0.5, 0.5, 0.2, 0.4]), "a")
    assert (run.best, run.last, run.env_steps, run.minutes) == (1.0, 0.4, 10_000, 1.0)
    assert run.final == pytest.approx((0.2 + 0.4) / 2)
    assert run.points("evaluate/mean_return", "wall_seconds")[0] == [6.0 * n for n in range(1, 11)]


def test_a_run_that_was_never_evaluated_is_scored_in_training(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "a", names={"evaluate/mean_return": "other"}), "a")
    assert run.measure == "train/mean_return"
    assert run.best == pytest.approx(0.9)


def test_a_run_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    now, before = write_run(tmp_path / "now"), write_run(tmp_path / "before", names=OLD)
    assert "evaluation/mean_return" in (before / "metrics.jsonl").read_text()
    assert read_run(before, "x").records == read_run(now, "x").records


def test_a_run_without_records_is_read(tmp_path: Path) -> None:
    write_run(tmp_path / "a", scores=[])
    (tmp_path / "a" / "metrics.jsonl").unlink()
    (tmp_path / "a" / "provenance.json").write_text("not JSON")
    run = read_run(tmp_path / "a", "a")
    assert (run.best, run.last, run.final, run.minutes, run.provenance) == (None, None, None, 0.0, [])


def test_a_run_is_running_while_its_lock_is_held(tmp_path: Path) -> None:
    """By the system's lock: a process that was killed holds none."""
    folder = write_run(tmp_path / "a", run__steps=10**6)
    (folder / "lock").touch()
    assert read_run(folder, "a").state == "stopped"
    with (folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert read_run(folder, "a").state == "running"
    assert read_run(folder, "a").state == "stopped"


def test_without_a_lock_the_time_since_the_last_record_decides(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", run__steps=10**6)
    assert read_run(folder, "a").state == "running"
    os.utime(folder / "metrics.jsonl", (0, 0))
    assert read_run(folder, "a").state == "stopped"


def test_a_run_is_done_at_its_last_step_or_at_its_goal(tmp_path: Path) -> None:
    assert read_run(write_run(tmp_path / "a"), "a").state == "done"
    goal = write_run(tmp_path / "b", run__steps=10**6, run__stop_return=0.9)
    assert read_run(goal, "b").state == "done"


def test_runs_are_found_in_a_study_and_none_is_named_twice(tmp_path: Path) -> None:
    for study in ("one", "two"):
        for seed in range(2):
            write_run(tmp_path / study / "cell" / f"seed{seed}", seed=seed)
    (tmp_path / "one" / "cell" / "seed0" / "checkpoints").mkdir()
    assert [run.name for run in read_runs([tmp_path / "one"])] == ["cell/seed0", "cell/seed1"]
    both = read_runs([tmp_path / "one", tmp_path / "two", tmp_path / "two"])
    assert [run.name for run in both][:3] == ["one/cell/seed0", "one/cell/seed1", "two/cell/seed0"]
    alone = read_runs([tmp_path / "one" / "cell" / "seed0", tmp_path / "two" / "cell" / "seed0"])
    assert len({run.name for run in alone}) == 2


def test_what_cannot_be_read_is_left_out_of_a_study_and_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "good")
    bad = write_run(tmp_path / "bad")
    (bad / "config.json").write_text(json.dumps({"preset": "memory", "config": {"env": {"ids": "x"}}}))
    assert [run.name for run in read_runs([tmp_path])] == ["good"]
    assert "unknown config key env.ids: did you mean env.id?" in capsys.readouterr().err
    with pytest.raises(RunError, match="unknown config key env.ids"):
        read_runs([bad])
    with pytest.raises(RunError, match="does not exist"):
        read_runs([tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="there is no run in"):
        read_runs([tmp_path / "empty"])


def test_the_table_of_runs_says_what_differs_from_the_preset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "a", "memory+gru", replay__burn_in=3)
    shown = call(capsys, "runs", tmp_path)
    assert shown.code == 0, shown.err
    (row,) = (line for line in shown.out.splitlines() if "Recall-v0" in line)
    assert row.split() == ["a", "Recall-v0", "memory+gru,", "burn_in=3", "3,000", "1", "1", "0.3", "done"]


def test_options_of_any_kind_are_named(tmp_path: Path) -> None:
    options = {"size": "small", "delay": 20, "walls": [1, None], "slippery": False}
    run = read_run(write_run(tmp_path / "a", env__id="Recall-v0", env__options=options), "a")
    assert run.task == "Recall-v0 (delay=20, size=small, slippery=False, walls=[1, None])"
