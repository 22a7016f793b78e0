"""Laws of interruption: asked, a run saves and says how to go on; killed, it loses what came after."""

from __future__ import annotations

import functools
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from run_cases import Command, arguments, lines, new_run, run_command, state, tiny

from r2d2.agent.actor import Actor
from r2d2.checkpoint import checkpoint

ENDLESS = arguments(run__steps=10_000_000, run__checkpoint_period=10_000_000)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_names_the_command_that_goes_on(number: int, tmp_path: Path) -> None:
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("the signal is ignored here, as under nohup, and by what is started here too")
    run_dir = tmp_path / "run"
    with Command(tmp_path, "train", "dqn", *ENDLESS, "--run-dir", run_dir) as command:
        command.wait_until(lambda: len(lines(run_dir)) > 2)
        command.send(number)
        done = command.wait(30)
    assert done.code == 130
    assert f"r2d2 resume {run_dir}" in done.err
    assert "Traceback" not in done.err
    saved = state(run_dir)
    assert saved["counters"]["saves"] == 1
    assert lines(run_dir)[-1]["env_steps"] == saved["actor"]["steps"]
    resumed = run_command(tmp_path, "resume", run_dir, "--steps", saved["actor"]["steps"] + 100)
    assert resumed.code == 0, resumed.err
    assert state(run_dir)["actor"]["steps"] > saved["actor"]["steps"] + 90
    assert len(json.loads((run_dir / "provenance.json").read_text())) == 2


def test_a_stop_within_an_evaluation_is_heeded_at_once_and_the_evaluation_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(run__evaluate_period=100, run__steps=300)
    run, steps = new_run(config, tmp_path), [0]
    step = Actor.step

    def stopping(actor: Actor, **arguments: Any) -> Any:
        if actor is not run.actor:  # the evaluation's
            steps[0] += 1
            run.schedule.stop = True
        return step(actor, **arguments)

    monkeypatch.setattr(Actor, "step", stopping)
    run.train()
    monkeypatch.undo()
    assert steps == [1]
    assert 100 <= run.actor.steps <= 106
    assert run.evaluator.count == 0
    assert not run.finished
    resumed = new_run(config, tmp_path)
    resumed.load(tmp_path / "checkpoints" / "ckpt-00000001")
    resumed.train()
    first = next(line for line in lines(tmp_path) if "evaluate/mean_return" in line)
    assert first["env_steps"] <= run.actor.steps + 4


def test_a_second_ctrl_c_exits_at_once(tmp_path: Path) -> None:
    """Even when the save takes for ever; the checkpoint before it stays, and no traceback is shown."""
    run_dir = tmp_path / "run"
    with Command(tmp_path, "train", "dqn", *ENDLESS, "--run-dir", run_dir, slow_save=1000) as command:
        command.wait_until(lambda: len(lines(run_dir)) > 0)
        command.send(signal.SIGINT)
        command.wait_until(lambda: "once more" in command.err)
        time.sleep(0.3)  # it is in the save now
        command.send(signal.SIGINT)
        done = command.wait(5)
    assert done.code == 130
    assert "without saving" in done.err
    assert "Traceback" not in done.err
    assert checkpoint.latest(run_dir / "checkpoints") is None


def test_the_command_line_itself_ends_with_130(tmp_path: Path) -> None:
    """As a shell starts it: `python -m r2d2 train`, Ctrl-C, exit code 130."""
    command = [sys.executable, "-m", "r2d2", "train", "dqn", *ENDLESS, "--run-dir", str(tmp_path / "run")]
    environ = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environ) as process:
        try:
            end = time.monotonic() + 60
            while not lines(tmp_path / "run"):
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert b"r2d2 resume" in err
    assert state(tmp_path / "run")["counters"]["saves"] == 1


def test_kill_9_at_any_moment_leaves_a_checkpoint_that_goes_on(tmp_path: Path) -> None:
    """A run that saves after nearly every step is killed again and again, mostly within a save."""
    run_dir = tmp_path / "run"
    often = arguments(run__steps=1_000_000, run__checkpoint_period=2, run__log_period=10)
    args: list[object] = ["train", "dqn", *often, "--run-dir", run_dir]
    reached = 0
    for moment in (0.011, 0.083, 0.137, 0.19, 0.234):  # seconds after its first new checkpoint
        with Command(tmp_path, *args) as command:
            command.wait_until(functools.partial(_has_saved, run_dir, reached))
            time.sleep(moment)
            command.send(signal.SIGKILL)
            assert command.wait().code == -signal.SIGKILL
        tree = state(run_dir)  # reads and verifies every byte
        assert tree["counters"]["saves"] > reached
        reached = tree["counters"]["saves"]
        args = ["resume", run_dir]
    done = run_command(tmp_path, *args, "--steps", tree["actor"]["steps"] + 40)
    assert done.code == 0, done.err
    steps = [line["env_steps"] for line in lines(run_dir)]
    assert steps == sorted(set(steps))  # no line twice, none lost in between
    assert max(b - a for a, b in itertools.pairwise(steps)) <= 14


def _has_saved(run_dir: Path, before: int) -> bool:
    """Whether a checkpoint with a number above `before` is complete."""
    newest = checkpoint.latest(run_dir / "checkpoints")
    return newest is not None and int(newest.name.split("-")[1]) > before
