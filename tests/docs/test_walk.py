"""The first page of docs/environments.md, as a new user walks it: every command and block of code as it stands."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "environments.md").read_text()
QUICK = ["--run.track", "none", "--run.log-period", "200", "--run.evaluate-period", "0"]


def test_a_task_of_ones_own_from_start_to_finish(tmp_path: Path) -> None:
    """Trained, stopped with Ctrl-C, resumed from another folder, evaluated, exported, and used in Python without
    the run."""
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    away.mkdir()
    task, use = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[:2]
    (home / "my_tasks.py").write_text(task)
    shell = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)[:2]
    train, resume, evaluate, export = [line.split()[1:] for block in shell for line in block.splitlines()]
    environment = dict(os.environ) | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    python = [sys.executable, "-P"]  # as the installed command: the working folder is not on the path

    def run(args: list[str], folder: Path) -> str:
        done = subprocess.run(
            [*python, "-m", "r2d2", *args], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with (tmp_path / "log").open("w") as log:
        training = subprocess.Popen(
            [*python, "-m", "r2d2", *train, *QUICK], cwd=home, env=environment, stdout=log, stderr=log
        )
        for _ in range(1200):
            if "env_steps" in _text(home / "lights" / "metrics.jsonl") or training.poll() is not None:
                break
            time.sleep(0.1)
        training.send_signal(signal.SIGINT)
        assert training.wait(120) in (0, 130), (tmp_path / "log").read_text()
    said = (tmp_path / "log").read_text()
    assert "observation/lights: grid 2 x 2" in said
    assert "observation/time: vector of 1" in said
    lights = str(home / "lights")
    run([*(word.replace("lights", lights) for word in resume), "--steps", "1500"], away)
    run([*(word.replace("lights", lights) for word in evaluate)], away)
    run(export, home)
    (home / "lights").rename(tmp_path / "gone")
    checked = use + "\nassert done and total in (0.0, 1.0), total\nprint('walked')\n"
    done = subprocess.run(
        [sys.executable, "-c", checked], cwd=home, env=environment, capture_output=True, text=True
    )
    assert "walked" in done.stdout, done.stderr


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""
