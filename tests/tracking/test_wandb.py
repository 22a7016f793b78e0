"""Laws of `r2d2.tracking.wandb`: it keeps its id, and never stops a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from r2d2.tracking.tracker import Tracker, read_metrics
from r2d2.tracking.wandb import WandbRun

wandb = pytest.importorskip("wandb")  # all of it with the real package, offline


def test_a_wandb_that_fails_is_switched_off_with_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**kwargs: Any) -> None:
        raise RuntimeError("no server")

    monkeypatch.setattr(wandb, "init", fail)
    environment = dict(os.environ)
    said: list[str] = []
    sink = WandbRun(tmp_path, mode="offline", say=said.append)
    tracker = Tracker(tmp_path, {"wandb": sink})
    for step in range(5):
        tracker.log({"loss": 1.0}, env_steps=step, updates=step)
    tracker.log_histogram("h", [1.0], env_steps=5)
    tracker.close()
    assert len(said) == 1
    assert "no server" in said[0]
    assert len(read_metrics(tmp_path)) == 6
    assert dict(os.environ) == environment


def test_wandb_is_asked_for_what_a_resumed_run_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, Any]] = []

    class Run:
        def log(self, data: dict[str, Any]) -> None:
            calls.append(("log", data))

        def define_metric(
            self, name: str, step_metric: str | None = None, summary: str | None = None, hidden: bool = False
        ) -> None:
            calls.append((name, "hidden" if hidden else summary or step_metric))

        def finish(self, exit_code: int) -> None:
            calls.append(("finish", exit_code))

    def init(**kwargs: Any) -> Run:
        calls.append(("init", kwargs))
        return Run()

    monkeypatch.setattr(wandb, "init", init)
    states: list[dict[str, Any]] = []
    for _ in range(2):
        about = {"name": "n", "group": "g", "job_type": "train", "tags": ("t",), "config": {"lr": 1}}
        sink = WandbRun(tmp_path, mode="online", say=print, project="p", **about)  # type: ignore[arg-type]
        tracker = Tracker(tmp_path, {"wandb": sink})
        if states:
            tracker.load_state_dict(states[0])
        tracker.log({"loss": 1.0}, env_steps=7, updates=1)
        states.append(tracker.state_dict())
        tracker.close(exit_code=3)
    asked = [value for name, value in calls if name == "init"]
    assert asked[0]["id"] == asked[1]["id"] == states[0]["sinks"]["wandb"]["id"]
    assert asked[1]["resume"] == "allow"
    assert asked[1]["dir"] == str(tmp_path)
    assert asked[1]["mode"] == "online"
    expected = {
        "project": "p",
        "name": "n",
        "group": "g",
        "job_type": "train",
        "tags": ["t"],
        "config": {"lr": 1},
    }
    assert asked[0].items() >= expected.items()
    assert asked[0]["settings"].console == "off"
    assert ("*", "env_steps") in calls
    assert ("evaluate/mean_return", "last,max") in calls
    assert ("learner/loss", "last") in calls
    assert ("memory/process_bytes", "max") in calls
    assert ("wall_seconds", "hidden") in calls
    assert ("finish", 3) in calls
    assert next(value for name, value in calls if name == "log")["env_steps"] == 7


REAL = """if True:
    import os, signal, sys
    from pathlib import Path
    from r2d2.tracking.tracker import open_tracker
    run_dir, fault = Path(sys.argv[1]), sys.argv[2]
    policy = run_dir / "policies" / "best"
    policy.mkdir(parents=True)
    (policy / "policy.json").write_text("{}")
    tracker = open_tracker(
        run_dir, track="auto", name="a run", config={"lr": 0.1}, total_env_steps=100,
        policies={"best": policy, "last": run_dir / "policies" / "last"},
    )
    for step in range(60):
        tracker.log({"loss": step / 2, "bad": float("nan")}, env_steps=step, updates=step)
        if step == 15:
            tracker.log({"evaluate/mean_return": 2.0, "evaluate/max_return": 3.0}, env_steps=step, updates=step)
        if step == 20:
            tracker.log_histogram("priority", [1.0, 2.0], env_steps=step)
        if step == 30 and fault == "kill":
            children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
            for child in {int(c) for file in children for c in file.read_text().split()}:
                if b"wandb" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(child, signal.SIGKILL)
                    print("killed wandb")
    tracker.close()
    print("end of training")
"""


def run_real(tmp_path: Path, fault: str) -> subprocess.CompletedProcess[str]:
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    command = [sys.executable, "-c", REAL, str(tmp_path / "run"), fault]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment | {"HOME": str(home), "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )


def test_real_wandb_offline_lands_in_the_run_folder_only(tmp_path: Path) -> None:
    done = run_real(tmp_path, "none")
    assert done.returncode == 0, done
    assert "warning" not in done.stdout + done.stderr
    assert "wandb: offline, as nobody is logged in" in done.stdout
    assert "wandb sync" in done.stdout
    (written,) = (tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb")
    assert written.stat().st_size > 1000
    assert not list((tmp_path / "home").iterdir())
    assert len(read_metrics(tmp_path / "run")) == 62
    content = written.read_bytes()
    assert b"evaluate/table" in content
    assert b"policy-" in content, "the artifact"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the child process in /proc")
def test_training_goes_on_when_the_process_of_wandb_is_killed(tmp_path: Path) -> None:
    done = run_real(tmp_path, "kill")
    assert "killed wandb" in done.stdout
    assert done.returncode == 0, done
    assert done.stdout.rstrip().endswith("end of training")
    assert done.stdout.count("warning: wandb failed") == 1
    assert "Traceback" not in done.stderr
    assert read_metrics(tmp_path / "run")[-1]["env_steps"] == 59


def test_signals_are_not_swallowed(tmp_path: Path) -> None:
    """Also where the tests themselves run in the background of a shell, in which Ctrl-C is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    said: list[str] = []
    sink = WandbRun(tmp_path, mode="offline", say=said.append)

    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        sink._guard(interrupted)
    signal.signal(signal.SIGINT, before)
    assert not said
