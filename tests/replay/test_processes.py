"""Laws of the library in a process of its own: without torch, without a place for compiled code, after a fork."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from r2d2.replay import Column, Fifo, Proportional, Replay, Sequencer, workers

ROOT = Path(__file__).resolve().parents[2]

USE = """
import numpy as np
from r2d2.replay import Column, Fifo, Proportional, Replay, Sequencer

def filled():
    replay = Replay(
        {"frame": Column((8, 8), "uint8", "lz4"), "reward": Column()}, streams=2, block=4,
        sequencer=Sequencer(2, burn_in=2, unroll=4, n_step=1, period=2),
        selector=Proportional(200), remover=Fifo(200), capacity=200, steps=200,
    )
    for step in range(60):
        row = {"frame": np.full((2, 8, 8), step, np.uint8), "reward": np.full(2, step, np.float32)}
        replay.write(row, np.array([step % 20 == 19] * 2))
    return replay

replay = filled()
batch = replay.sample(8, np.random.default_rng(0), beta=0.5)
replay.update_priorities(batch.ids, np.ones(8))
assert (batch.columns["frame"][:, :, 0, 0] == batch.columns["reward"]).all()
"""


def python(code: str, source: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs code with the package in that folder."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "NUMBA_"))}
    environ |= {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-B", "-c", code]
    return subprocess.run(
        command, cwd=source, capture_output=True, text=True, env=kept | environ, timeout=300
    )


BLOCKED = [
    "torch",
    "gymnasium",
    "tyro",
    "wandb",
    "psutil",
    "ale_py",
    "stable_baselines3",
    "ray",
    "matplotlib",
]


def test_the_replay_works_without_what_training_needs() -> None:
    """`r2d2.replay`, `r2d2.types` and `r2d2.dataset`, where none of the extras' packages can be imported."""
    block = f"import sys\nsys.modules.update(dict.fromkeys({BLOCKED}))\n"
    done = python(block + "import r2d2, r2d2.dataset" + USE)
    assert done.returncode == 0, done.stderr


def test_the_base_requirements_are_all_that_the_replay_imports() -> None:
    """Beside the standard library: what setup.py asks for without an extra."""
    code = f"import sys\nbefore = set(sys.modules)\n{USE}\n"
    code += "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    done = python(code)
    assert done.returncode == 0, done.stderr
    third = set(done.stdout.split()) - sys.stdlib_module_names - {"r2d2", "llvmlite"}
    wanted = {"cramjam", "numba", "numpy", "zstandard"}
    assert wanted <= third
    assert {name for name in third if (ROOT / name).exists() or name in BLOCKED} == set()


def test_the_command_line_names_the_extra_that_it_needs() -> None:
    code = "import importlib.util as u\nfind = u.find_spec\n"
    code += "u.find_spec = lambda name, *rest: None if name == 'torch' else find(name, *rest)\n"
    done = python(code + "import r2d2.cli.main")
    assert done.returncode == 2
    assert done.stderr.startswith("r2d2: torch is not installed: ")
    assert done.stderr.endswith("[train]'\n")
    assert len(done.stderr.splitlines()) == 1


def test_a_read_only_installation_of_a_user_without_a_home(tmp_path: Path) -> None:
    """Where numba can keep nothing, everything works, and one line says why it takes longer."""
    left_out = shutil.ignore_patterns("__pycache__")
    for name in ("r2d2", "envs"):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=left_out)
    for folder in (tmp_path / "r2d2").rglob("*"):
        if folder.is_dir() and not folder.is_symlink():
            (folder / "__pycache__").touch()  # a file, so that not even root can keep anything there
    nowhere = {"HOME": "/dev/null/home", "XDG_CACHE_HOME": "/dev/null/cache"}
    code = "import numpy as np, r2d2.replay as r\nfifo = r.Fifo(3)\nfifo.insert(np.arange(3))\nprint(fifo.pop(2))"
    done = python(code, tmp_path, **nowhere)
    assert (done.returncode, done.stdout) == (0, "[0 1]\n"), done.stderr
    (line,) = done.stderr.splitlines()
    assert "set NUMBA_CACHE_DIR to a folder of yours" in line
    done = python(code, tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache"), **nowhere)
    assert (done.returncode, done.stderr) == (0, "")
    assert list((tmp_path / "cache").rglob("*.nbi"))


# -- forks -------------------------------------------------------------------------------------------------


def filled(**arguments: Any) -> Replay:
    replay = Replay(
        {"frame": Column((8, 8), "uint8", "zstd"), "reward": Column()},
        streams=2,
        sequencer=Sequencer(2, burn_in=2, unroll=4, n_step=1, period=2, core_size=3),
        selector=Proportional(200),
        remover=Fifo(200),
        capacity=200,
        steps=200,
        block=4,
        core_size=3,
        **arguments,
    )
    play(replay, 60)
    return replay


def play(replay: Replay, steps: int) -> None:
    for step in range(steps):
        row = {"frame": np.full((2, 8, 8), step, np.uint8), "reward": np.full(2, step, np.float32)}
        replay.write(row, np.array([step % 20 == 19] * 2))


def in_a_fork(work: Callable[[], Any]) -> Any:
    """What `work` returns in a forked child, or the exception that it raises; fails if that takes forever."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()

    def run() -> None:
        try:
            there.send(work())
        except Exception as error:
            there.send(error)

    child = context.Process(target=run)
    child.start()
    try:
        assert here.poll(30), "the child hangs"
        return here.recv()
    finally:
        child.kill()
        child.join()


def drawn(replay: Replay) -> bytes:
    return replay.sample(16, np.random.default_rng(3)).columns["frame"].tobytes()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_samples_and_writes_on() -> None:
    """Also where blocks were being encoded when it was forked; parent and child then go on by themselves."""
    replay = filled()
    for _ in range(3):
        play(replay, 40)
        wanted = drawn(replay)
        assert in_a_fork(lambda: drawn(replay)) == wanted
        assert drawn(replay) == wanted

    def on() -> bytes:
        play(replay, 20)
        return drawn(replay)

    child = in_a_fork(on)
    assert drawn(replay) == wanted, "what the child wrote stays there"
    play(replay, 20)
    assert drawn(replay) == child


def test_a_fork_waits_for_what_was_begun() -> None:
    """A batch that is still being decoded is whole in the child."""
    replay = filled()
    pending = replay.draw(16, np.random.default_rng(3))
    wanted = drawn(replay)
    assert in_a_fork(lambda: pending.result().columns["frame"].tobytes()) == wanted


def test_a_forked_child_has_threads_of_its_own() -> None:
    workers.submit(lambda: None).result(5)
    assert in_a_fork(lambda: workers.submit(lambda: 7).result(5)) == 7
    assert workers.submit(lambda: 8).result(5) == 8


def test_a_forked_child_may_not_touch_the_files_of_its_parent(tmp_path: Path) -> None:
    """It would write over what the parent reads."""
    replay = filled(folder=tmp_path, linked=True)
    ids, wanted = replay.sample(4, np.random.default_rng(0)).ids, drawn(replay)
    for work in (
        lambda: drawn(replay),
        lambda: play(replay, 1),
        lambda: replay.refresh(ids, np.ones((4, 3), np.float32)),
        replay.state_dict,
    ):
        error = in_a_fork(work)
        assert isinstance(error, RuntimeError)
        assert "works in the process that made it alone" in str(error)
    assert drawn(replay) == wanted
    play(replay, 20)
