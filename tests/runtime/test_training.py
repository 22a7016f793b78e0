"""Laws of the jobs: what a run folder that is not as it was left means for a resume."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from run_cases import arguments, call, differences, lines, run_command, state

from r2d2.runs import folder

Capture = pytest.CaptureFixture[str]


def killed(tmp_path: Path, **conditions: int) -> Path:
    run_dir = tmp_path / "run"
    dead = run_command(tmp_path, "train", "dqn", *arguments(), "--run-dir", run_dir, **conditions)
    assert dead.code == -signal.SIGKILL, dead.err
    return run_dir


def test_a_run_killed_before_its_first_checkpoint_begins_again(tmp_path: Path, capsys: Capture) -> None:
    """And ends as one that was left alone; what it had logged is kept beside its log."""
    run_dir = killed(tmp_path, kill_after=150)
    assert len(lines(run_dir)) > 1
    resumed = call(capsys, "resume", run_dir)
    assert resumed.code == 0, resumed.err
    assert "was stopped before its first checkpoint: it begins again" in resumed.out
    whole = tmp_path / "whole"
    assert call(capsys, "train", "dqn", *arguments(), "--run-dir", whole).code == 0
    assert lines(run_dir) == lines(whole)
    assert differences(state(run_dir), state(whole)) == []
    assert (run_dir / "metrics.jsonl.1").exists()
    assert len(folder.read_provenance(run_dir)) == 2


def test_what_decides_nothing_blocks_no_resume(tmp_path: Path, capsys: Capture) -> None:
    run_dir = killed(tmp_path, kill_after=260)
    file = run_dir / "provenance.json"
    for i, content in enumerate([None, b"{", b"\xff\xfe", b"17", b"[1]"]):
        file.unlink() if content is None else file.write_bytes(content)
        resumed = call(capsys, "resume", run_dir, "--steps", 400 + 20 * i)
        assert resumed.code == 0, resumed.err
        assert f"where {run_dir} came from is not known" in resumed.err
        assert len(json.loads(file.read_text())) == 1
        if content is not None:
            assert (run_dir / "provenance.json.unreadable").read_bytes() == content


def test_a_config_that_is_not_text_is_named(tmp_path: Path, capsys: Capture) -> None:
    run_dir = killed(tmp_path, kill_after=260)
    file = run_dir / "config.json"
    for content, found in (
        (b"\xff\xfe{}", f"{file} is not UTF-8 (byte 0 is 0xff): save it as UTF-8"),
        (b"{", f"{file} is damaged"),
        (b"[]", f"{file} is damaged"),
        (b'{"preset": "dqn", "config": {"env": {"idd": "x"}}}', f"{file}: unknown config key env.idd"),
    ):
        file.write_bytes(content)
        for command in ("resume", "evaluate"):
            refused = call(capsys, command, run_dir)
            assert refused.code == 2
            assert found in refused.err


def test_a_config_edited_by_hand_is_said_and_holds(tmp_path: Path, capsys: Capture) -> None:
    run_dir = killed(tmp_path, kill_after=260)
    file = run_dir / "config.json"
    saved = json.loads(file.read_text())
    rate = saved["config"]["learner"]["learning_rate"]
    saved["config"]["learner"]["learning_rate"] = 0.125
    saved["config"]["learner"]["batch"] = 3
    saved["config"]["run"]["seed"] = 9
    file.write_text(json.dumps(saved))
    resumed = call(capsys, "resume", run_dir)
    assert resumed.code == 0, resumed.err
    for field in (
        f"learner.learning_rate is 0.125, in the checkpoint {rate}",
        "learner.batch is 3",
        "run.seed is 9",
    ):
        assert f"{file} was edited: {field}" in resumed.err
    (group,) = state(run_dir)["learner"]["optimizer"]["param_groups"]
    assert group["lr"] == 0.125
    again = call(capsys, "resume", run_dir, "--steps", 420)  # it is the run's own now
    assert again.code == 0
    assert "was edited" not in again.err


def test_nothing_is_said_of_a_config_that_was_left_alone(tmp_path: Path, capsys: Capture) -> None:
    run_dir = killed(tmp_path, kill_after=260)
    assert "was edited" not in call(capsys, "resume", run_dir, "--steps", 300).err
