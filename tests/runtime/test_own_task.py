"""A task of the user's own goes through every command, from any folder, in every process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from run_cases import arguments, run_command, state, tiny

from experiments.study import Cell, execute, plan

TASK = '''
import gymnasium as gym
import numpy as np

class Corridor(gym.Env):
    """Walk to the end; infos and rewards as people write them."""
    action_space = gym.spaces.Discrete(2)

    def __init__(self, length=4, words="left right", metal=None):
        assert isinstance(words, str) and metal in (None, [1, {"a": False}])
        self.length = length
        self.observation_space = gym.spaces.Box(0, length, (1,), np.int64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.time = 0
        return np.array([0]), {"seed": seed}

    def step(self, action):
        self.place = max(0, self.place + 2 * int(action) - 1)
        self.time += 1
        done = self.place == self.length
        info = {"path": list(range(self.time))}
        return np.array([self.place]), np.array([float(done)]), done, self.time == 30, info

def corridor(**options):
    return Corridor(**options)

gym.register("Corridor-v0", entry_point=Corridor)
'''


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with the user's module in it, which no test imports itself."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "walks.py").write_text(TASK)
    return folder


@pytest.mark.parametrize("env_id", ["walks:Corridor-v0", "walks:corridor", "walks.py:corridor"])
def test_a_task_of_ones_own_is_trained_and_gone_on_with_from_another_folder(
    home: Path, tmp_path: Path, env_id: str
) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (away / "walks.py").write_text("1 / 0  # another one")
    run_dir = home / "run"
    args = [*arguments(run__steps=100), "--env", env_id, "--run-dir", "run"]
    args += ["--env.options", "length=3", "words=8x8", 'metal=[1, {"a": false}]']
    done = run_command(tmp_path, "train", "dqn", *args, cwd=home)
    assert done.code == 0, done.err
    env = json.loads((run_dir / "config.json").read_text())["config"]["env"]
    assert env["folder"] == str(home)
    assert env["options"] == {"length": 3, "words": "8x8", "metal": [1, {"a": False}]}
    commands: list[list[Any]] = [["resume", run_dir, "--steps", 200]]
    if env_id == "walks:corridor":  # all of them take the same way
        commands += [
            ["evaluate", run_dir, "--episodes", 2],
            ["replay", "export", run_dir, away / "data"],
            ["replay", "import", away / "data", away / "second"],
            ["resume", away / "second", "--steps", 300],
        ]
    for command in commands:
        done = run_command(tmp_path, *command, cwd=away)
        assert done.code == 0, (command, done.err)
    assert state(run_dir)["actor"]["steps"] >= 196
    (home / "walks.py").unlink()
    (away / "walks.py").unlink()
    done = run_command(tmp_path, "resume", run_dir, "--steps", 300, cwd=away)
    assert done.code == 2
    assert "walks" in done.err
    assert str(home) in done.err
    assert "Traceback" not in done.err


def test_what_fails_in_the_users_module_is_shown_whole(home: Path, tmp_path: Path) -> None:
    (home / "broken.py").write_text("def deep():\n    import no_such_package\ndeep()\n")
    done = run_command(tmp_path, "train", "dqn", *arguments(), "--env", "broken:Task-v0", cwd=home)
    assert done.code == 1
    for part in (
        "Traceback",
        'broken.py", line 2, in deep',
        "No module named 'no_such_package'",
        "broken:Task-v0",
    ):
        assert part in done.err
    assert not list(home.glob("runs/*"))


def test_studies_run_tasks_of_ones_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a study goes on with its runs, though they remember a folder that its cells do not name."""
    monkeypatch.chdir(home)
    cell = Cell("walk", "dqn", tiny(env__id="walks:corridor", run__steps=60), {})
    jobs = plan([cell], [0], home / "study")
    for _ in range(2):
        assert execute(jobs, workers=1) == 0, jobs[0].log.read_text()
    assert jobs[0].finished
