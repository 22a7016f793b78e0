"""Laws of a study: every run is made once, a stopped or killed one goes on, no folder is mistaken."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from run_cases import differences, state, tiny

from experiments.processor_time import CPU, processor_seconds
from experiments.study import Cell, Job, check, execute, gather, plan, write_csv
from r2d2.checkpoint import checkpoint

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {root!r}]
from test_study import jobs
from experiments.study import execute
if __name__ == "__main__":
    sys.exit(execute(jobs(Path({folder!r}), steps={steps}, checkpoint_period={steps}), workers=2))
"""


def jobs(root: Path, **changes: int) -> list[Job]:
    """One cell of a recurrent run, two seeds."""
    options = {f"run__{name}": value for name, value in changes.items()}
    config = tiny(run__evaluate_period=200, **options)
    return plan([Cell("small", "r2d2", config, {"burn_in": 4})], range(2), root)


def note(run_dir: Path) -> None:
    """What is done after each run of the tests."""
    (run_dir / "after").touch()


def test_runs_are_made_once_and_gathered(tmp_path: Path) -> None:
    made = jobs(tmp_path)
    said: list[str] = []
    assert execute(made, workers=2, after=note, say=said.append) == 0
    assert all((job.run_dir / "after").exists() and job.finished for job in made)
    rows = gather(made, ["evaluate/mean_return", "learner/loss"])
    assert {(row["burn_in"], row["seed"]) for row in rows} == {(4, 0), (4, 1)}
    assert all("evaluate/mean_return" in row or "learner/loss" in row for row in rows)
    steps = [row["env_steps"] for row in rows if row["seed"] == 0]
    assert steps == sorted(set(steps))
    write_csv(rows, tmp_path / "raw.csv")
    with (tmp_path / "raw.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    before = [checkpoint.latest(job.run_dir / "checkpoints") for job in made]
    assert execute(made, workers=2, say=said.append) == 0
    assert [checkpoint.latest(job.run_dir / "checkpoints") for job in made] == before
    assert "2 of them finished before" in said[-1]


def test_a_run_differs_from_another_by_its_seed_alone(tmp_path: Path) -> None:
    first, second = jobs(tmp_path)
    assert (first.config.run.seed, second.config.run.seed) == (0, 1)
    assert first.run_dir != second.run_dir


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_study_saves_and_goes_on(number: int, tmp_path: Path) -> None:
    """The signal reaches the study alone; also when it is killed its runs save rather than run on."""
    endless = 10_000_000
    script = SCRIPT.format(
        tests=str(Path(__file__).parent), root=str(ROOT / "tests"), folder=str(tmp_path), steps=endless
    )
    (tmp_path / "main.py").write_text(script)
    environ = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    made = jobs(tmp_path, steps=endless, checkpoint_period=endless)  # it saves when stopped, or never
    with subprocess.Popen([sys.executable, str(tmp_path / "main.py")], env=environ) as process:
        try:
            _wait(lambda: all((job.run_dir / "metrics.jsonl").exists() for job in made))
            process.send_signal(number)
            code = process.wait(60)
        finally:
            process.kill()
    assert code == (-number if number == signal.SIGKILL else 130)
    _wait(lambda: all(checkpoint.latest(job.run_dir / "checkpoints") for job in made))
    assert [state(job.run_dir)["counters"]["saves"] for job in made] == [1, 1]
    assert not any(job.finished for job in made)


def test_what_was_begun_goes_on_and_ends_as_if_never_stopped(tmp_path: Path) -> None:
    """A run without its mark, but with a checkpoint, is resumed; one without a checkpoint is begun again."""
    whole, parted = jobs(tmp_path / "whole"), jobs(tmp_path / "parted")
    assert execute(whole, workers=2, say=_silent) == 0
    assert execute(parted, workers=2, say=_silent) == 0
    (parted[0].run_dir / "finished").unlink()
    (parted[0].run_dir / "checkpoints" / "latest").write_text("ckpt-00000001\n")  # the one in the middle
    (parted[1].run_dir / "finished").unlink()
    shutil.rmtree(parted[1].run_dir / "checkpoints")
    (parted[1].run_dir / "checkpoints").mkdir()  # as a run leaves it that was killed before its first
    assert execute(parted, workers=2, say=_silent) == 0
    assert all(job.finished for job in parted)
    parts = [len(json.loads((job.run_dir / "provenance.json").read_text())) for job in parted]
    assert parts == [2, 2]  # resumed, and begun again
    times = [json.loads((job.run_dir / CPU).read_text()) for job in parted]
    assert [processor_seconds(job.run_dir) for job in parted] == [sum(known.values()) for known in times]
    assert [len(known) for known in times] == [2, 2]
    (parted[0].run_dir / "finished").unlink()
    assert execute(parted[:1], workers=1, say=_silent) == 0  # nothing is left to train
    assert processor_seconds(parted[0].run_dir) == sum(times[0].values())
    (parted[1].run_dir / CPU).write_text(json.dumps({"1": 2.0}))  # its first process was killed
    assert math.isnan(processor_seconds(parted[1].run_dir))
    for a, b in zip(whole, parted, strict=True):
        assert not differences(state(a.run_dir)["learner"], state(b.run_dir)["learner"])


def test_a_failed_run_is_reported_and_the_others_are_made(tmp_path: Path) -> None:
    good = jobs(tmp_path)[0]
    bad = plan([Cell("bad", "r2d2", tiny(env__id="NoSuchTask-v0"), {})], [0], tmp_path)[0]
    said: list[str] = []
    assert execute([bad, good], workers=1, say=said.append) == 1
    assert good.finished
    assert not bad.finished
    assert any("FAILED" in line and str(bad.log) in line for line in said)
    assert "NoSuchTask" in bad.log.read_text()


def test_a_folder_of_another_config_is_refused(tmp_path: Path) -> None:
    made = jobs(tmp_path)
    assert execute(made[:1], workers=1, say=_silent) == 0
    check(made)
    with pytest.raises(ValueError, match=r"started with run.steps = 400, now it is 500: name another folder"):
        check(jobs(tmp_path, steps=500))


def test_cells_and_workers_are_checked(tmp_path: Path) -> None:
    cell = Cell("same", "r2d2", tiny(), {})
    with pytest.raises(ValueError, match="got same twice"):
        plan([cell, cell], [0], tmp_path)
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        execute([], workers=0)


def _silent(_: str) -> None:
    pass


def _wait(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
