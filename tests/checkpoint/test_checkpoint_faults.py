"""Laws of `r2d2.checkpoint.checkpoint` under kills and full disks: the older checkpoints stay usable."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_cases import SOURCE, STATE, blobs, run_python, same

from r2d2.checkpoint.checkpoint import CheckpointError, load, save

# --- kills --------------------------------------------------------------------------------------------------

SAVER = """if True:
    import sys
    import numpy as np
    from pathlib import Path
    from r2d2.checkpoint.blobs import Blobs
    from r2d2.checkpoint.checkpoint import load, save, verify

    def tree(n):
        keys = np.arange(5 * n, 5 * n + 40)  # the content of the last nine will be another in the next save
        data = [np.random.default_rng([n if k > 5 * n + 30 else 0, k]).bytes(300) for k in keys]
        return {"n": n, "array": np.full(20_000, n), "blobs": Blobs(keys, data)}

    def check(root):
        state = load(root)
        expected = tree(state["n"])
        assert (state["array"] == state["n"]).all()
        assert state["blobs"].keys.tolist() == expected["blobs"].keys.tolist()
        assert state["blobs"].data == expected["blobs"].data
        return state["n"]
"""
LOOP = (
    SAVER
    + """
    root = Path(sys.argv[1])
    n = check(root) + 1 if (root / "latest").exists() else 0
    while True:
        save(root, tree(n), number=n)
        print(n, flush=True)
        n += 1
"""
)
EVERY_STEP = (
    SAVER
    + """
    import os, shutil
    work = Path(sys.argv[1])
    start = work / "start"
    parent = save(start, tree(0), number=0)
    save(start, tree(1), number=1)

    def killed_at(step, root):
        if (pid := os.fork()) == 0:
            count = 0
            def step_or_die(event, args):
                nonlocal count
                count += event in EVENTS and str(root) in str(args[0]) or event == "fsync"
                if count > step:
                    os._exit(9)
            real = os.fsync
            os.fsync = lambda handle: (step_or_die("fsync", ()), real(handle))
            sys.addaudithook(step_or_die)
            save(root, tree(2), number=2)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9

    EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree"}
    seen, step = [], 0
    while True:
        root = work / "root"
        shutil.copytree(start, root)
        killed = killed_at(step, root)
        seen.append(check(root))
        for folder in root.glob("ckpt-*[0-9]"):
            verify(folder)  # what is named like a checkpoint is one
        save(root, tree(3), number=3)
        assert check(root) == 3
        assert sorted(p.name for p in root.iterdir())[-2:] == ["latest", "segments"], list(root.iterdir())
        assert not list(root.glob("*.tmp")) and len(list(root.glob("ckpt-*"))) == 2
        shutil.rmtree(root)
        if not killed:
            break
        step += 1
    print(step, *seen)
"""
)


def test_killed_at_any_step_of_a_save_the_previous_checkpoint_loads(tmp_path: Path) -> None:
    steps, *seen = map(int, run_python(EVERY_STEP, str(tmp_path)).stdout.split())
    assert steps > 30  # opens, syncs, renames and deletions
    assert seen == sorted(seen)
    assert set(seen) == {
        1,
        2,
    }


def test_killed_a_dozen_times_at_random_moments_no_acknowledged_save_is_lost(tmp_path: Path) -> None:
    wait, last = random.Random(0), -1
    scope: dict[str, Any] = {}
    exec(SAVER, scope)  # the same tree and check as in the process that is killed
    for _ in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", LOOP, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=SOURCE
        ) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline()]
            time.sleep(wait.uniform(0, 0.1))
            process.kill()
            lines += process.stdout.readlines()
        last = max(last, *(int(line) for line in lines if line.endswith("\n")))
        assert scope["check"](tmp_path) >= last
    assert last >= 11  # each of the twelve got at least one save done


# --- full disks ---------------------------------------------------------------------------------------------


def assert_untouched_by_failed_save(root: Path, **arguments: Any) -> str:
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match=r"needs [\d,]+ bytes, [\d,]+ are free") as caught:
        save(root, {"a": np.zeros(1_000_000), "b": blobs(range(90, 99), size=50_000)}, number=2, **arguments)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    assert not list(root.glob("*.tmp"))
    assert same(load(root), STATE)
    return str(caught.value)


@pytest.mark.parametrize("failing_sync", range(9))
def test_a_disk_full_at_any_sync_leaves_the_older_checkpoints_untouched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_sync: int
) -> None:
    save(tmp_path, STATE, number=1)
    calls, real = [0], os.fsync

    def sync(handle: int) -> None:
        calls[0] += 1
        if calls[0] > failing_sync:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", sync)
    assert "No space left" in assert_untouched_by_failed_save(tmp_path)


def test_too_little_room_is_noticed_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, STATE, number=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))
    message = assert_untouched_by_failed_save(tmp_path)
    assert "only 10 bytes are free" in message
    assert f"{8_000_000 + 450_027 + 9 * 32 + (1 << 20):,}" in message


def test_a_write_cut_off_by_the_system_is_reported(tmp_path: Path) -> None:
    save(tmp_path, STATE, number=1)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limit[1]))
        message = assert_untouched_by_failed_save(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert "File too large" in message


def test_a_really_full_disk(tmp_path: Path) -> None:
    script = """if True:
        import shutil, sys, numpy as np
        from pathlib import Path
        from r2d2.checkpoint.checkpoint import CheckpointError, load, save
        root = Path(sys.argv[1])
        save(root, {"a": np.zeros(100_000)}, number=1)
        real = shutil.disk_usage
        shutil.disk_usage = lambda path: shutil._ntuple_diskusage(1 << 40, 0, 1 << 40)  # so that it tries
        try:
            save(root, {"a": np.ones(1_000_000)}, number=2)
        except CheckpointError as error:
            assert "No space left" in str(error), error
        else:
            raise AssertionError("no error")
        assert (load(root)["a"] == 0).all() and not list(root.glob("*.tmp"))
    """
    in_tmpfs = ["sh", "-c", 'mount -t tmpfs -o size=4m tmpfs "$0" && exec "$@"', str(tmp_path)]
    command = ["unshare", "--mount", *in_tmpfs]  # in a namespace of its own: the machine sees no mount
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("may not mount a tmpfs here")
    command += [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SOURCE)
    assert done.returncode == 0, done.stderr
