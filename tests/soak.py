"""A soak test: one run, killed a thousand times at random moments, ends as one that was left alone.

    make soak [ARGS="--kills 1000 --out runs/soak"]

A tiny run is started, killed with SIGKILL, resumed, and so on; a third of the kills wait for a save to begin and
come within it. Beside one of twenty processes another tries to resume the run, and must be refused. In the end its
checkpoint and its metrics must be those of an uninterrupted run that saved at the same steps, bit for bit, and what
its processes held in memory, open files and on disk must not have grown. Stopped with Ctrl-C or killed, the soak
itself goes on where it was when it is started again with the same arguments.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from run_cases import Command, arguments, differences, lines, run_command, state

from r2d2.checkpoint import checkpoint

STEPS = 60  # environment steps between checkpoints
KILLS = 2  # kills for each checkpoint, about
AHEAD = 3  # checkpoints by which the run may be ahead of its kills
LONGEST = 24 * 3600.0  # seconds that the uninterrupted run may take
RIVALS = 1 / 20  # share of the processes beside which a second one tries to resume the run
SHORT = 0.05  # seconds that a process lives, about, when it is
LOGS = ("metrics", "provenance")  # they grow with each report and each resume; so do copies being written
CONFIG: dict[str, Any] = {
    "env__options": {"max_episode_steps": 40}, "run__checkpoint_period": STEPS, "run__log_period": 40,
    "run__evaluate_period": 6 * STEPS, "run__probe_items": 9, "replay__initial_state": "refreshed",
}  # fmt: skip


@dataclass(frozen=True)
class Kill:
    """What a process held when it was killed."""

    saving: bool  # a checkpoint was half written
    memory: int  # bytes, at most until then
    files: int  # open descriptors
    disk: int  # bytes of the run folder, without its logs


@dataclass
class Progress:
    """All that the soak must remember to go on."""

    total: int  # kills to be made
    kills: list[Kill] = field(default_factory=list)
    whole: bool = False  # the uninterrupted run is done
    delay: float = 0.5  # seconds that a process lives, on average
    seconds: float = 0.0  # that the soak has taken so far

    @classmethod
    def load(cls, file: Path, total: int) -> Progress:
        """Where an earlier soak of as many kills stopped; a new one if there is none."""
        if not file.exists():
            return cls(total)
        saved = json.loads(file.read_text())
        if saved["total"] != total:
            raise SystemExit(
                f"{file} is of a soak with {saved['total']} kills, not {total}: use another --out"
            )
        return cls(**saved | {"kills": [Kill(**kill) for kill in saved["kills"]]})

    def save(self, file: Path) -> None:
        """Replace the file at once."""
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self)))
        partial.replace(file)


def soak(total: int, out: Path, *, say: Callable[[str], None] = print) -> Progress:
    """Kill a run so many times and compare its end; AssertionError if it is not as it should be."""
    out.mkdir(parents=True, exist_ok=True)
    progress = Progress.load(out / "soak.json", total)
    train = arguments(**CONFIG, run__steps=STEPS * (total // KILLS + 4 * AHEAD))
    whole, killed = out / "whole", out / "killed"
    start = time.monotonic() - progress.seconds
    if not progress.whole:
        shutil.rmtree(whole, ignore_errors=True)
        to_its_end(out, whole, train)
        progress.whole = True
    while len(progress.kills) < total:
        number = len(progress.kills)
        rng = np.random.default_rng(number)
        progress.kills.append(one_kill(out, killed, train, number, progress.delay, rng))
        behind = saves(killed) * KILLS < number + 1
        progress.delay = min(10.0, max(SHORT, progress.delay * (1.2 if behind else 1 / 1.2)))
        progress.seconds = time.monotonic() - start
        progress.save(out / "soak.json")
        if (number + 1) % 50 == 0:
            say(f"{number + 1} kills, {saves(killed)} checkpoints, {progress.seconds:.0f} s")
    to_its_end(out, killed, train)
    progress.seconds = time.monotonic() - start
    progress.save(out / "soak.json")
    differ = differences(state(killed), state(whole))
    assert not differ, f"{len(differ)} parts of {killed} are not those of {whole}: {differ[:3]}"
    assert lines(killed) == lines(whole), f"the metrics of {killed} are not those of {whole}"
    check_flat(progress)
    say(summary(progress, killed))
    return progress


def command(run_dir: Path, train: list[str]) -> list[Any]:
    """Go on with the run, or begin it where there is nothing to go on from yet."""
    if checkpoint.latest(run_dir / "checkpoints") is not None:
        return ["resume", run_dir]
    shutil.rmtree(run_dir, ignore_errors=True)
    return ["train", "r2d2", *train, "--run-dir", run_dir]


def one_kill(
    out: Path, run_dir: Path, train: list[str], number: int, delay: float, rng: np.random.Generator
) -> Kill:
    """Start a process and kill it after a random time, or within its next save.

    It never gets far beyond its share of the run, so that the run is not over before the last kill.
    """
    scratch = out / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    arguments, stale = command(run_dir, train), half_written(run_dir)
    done, share = saves(run_dir), number // KILLS + AHEAD
    with Command(scratch, *arguments) as process:
        if arguments[0] == "resume" and rng.random() < RIVALS:
            process.wait_until(lambda: owner(run_dir) == process.process.pid)
            rival = run_command(scratch, "resume", run_dir)
            assert rival.code == 2, rival
            assert "is in use by process" in rival.err, rival
        if done < share and rng.random() < 1 / 3:
            process.wait_until(lambda: half_written(run_dir) - stale)
            time.sleep(rng.uniform(0, 0.02))
        else:
            end = time.monotonic() + rng.exponential(delay if done < share else SHORT)
            process.wait_until(lambda: time.monotonic() > end or saves(run_dir) > max(done, share))
        assert process.process.is_alive(), f"ended with {process.process.exitcode}: {process.err}"
        memory, files = held(process.process.pid)
    return Kill(bool(half_written(run_dir) - stale), memory, files, disk(run_dir))


def half_written(run_dir: Path) -> set[tuple[str, int]]:
    """The checkpoints that are not complete, each with the time of its last change."""
    found = set()
    for folder in (run_dir / "checkpoints").glob("ckpt-*.tmp"):
        with contextlib.suppress(FileNotFoundError):  # complete by now
            found.add((folder.name, folder.stat().st_mtime_ns))
    return found


def owner(run_dir: Path) -> int | None:
    """The process that has the run folder, as far as its lock says."""
    with contextlib.suppress(OSError, ValueError):
        return int(json.loads((run_dir / "lock").read_text())["pid"])
    return None


def saves(run_dir: Path) -> int:
    """The number of the newest checkpoint."""
    newest = checkpoint.latest(run_dir / "checkpoints")
    return 0 if newest is None else int(newest.name.split("-")[1])


def held(pid: int | None) -> tuple[int, int]:
    """Bytes of memory that a process has had at most, and its open files."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    peak = next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM")), 0)
    return peak, len(os.listdir(f"/proc/{pid}/fd"))


def disk(run_dir: Path) -> int:
    """Bytes of the files in a run folder but its logs."""
    files = (p for p in run_dir.rglob("*") if p.is_file() and p.name.partition(".")[0] not in LOGS)
    return sum(p.stat().st_size for p in files)


def to_its_end(out: Path, run_dir: Path, train: list[str]) -> None:
    """Leave the run alone until it is finished."""
    with Command(out, *command(run_dir, train)) as process:
        done = process.wait(LONGEST)
    assert done.code == 0, done.err


def growth(progress: Progress, name: str) -> tuple[int, int]:
    """The most that a process held in the second quarter of the soak, when the replay is full, and in the last."""
    values = [getattr(kill, name) for kill in progress.kills]
    quarter = max(1, len(values) // 4)
    return max(values[quarter : 2 * quarter]), max(values[-quarter:])


def check_flat(progress: Progress) -> None:
    """AssertionError if something grew by more than one process, or one checkpoint, differs from another."""
    for name, share, slack in (("memory", 1.05, 0), ("files", 1.0, 10), ("disk", 1.5, 0)):
        first, last = growth(progress, name)
        grew = f"{name} grew from {first:,} to {last:,} over {progress.total} kills"
        assert last <= share * first + slack, grew


def summary(progress: Progress, run_dir: Path) -> str:
    memory, files, size = (growth(progress, name) for name in ("memory", "files", "disk"))
    mega = 1 << 20
    return (
        f"soak: {progress.total:,} kills, {sum(kill.saving for kill in progress.kills)} of them within a save, in "
        f"{progress.seconds:.0f} s; after {state(run_dir)['actor']['steps']:,} steps and {saves(run_dir)} "
        "checkpoints equal bit for bit to the run that was left alone; second and last quarter at most "
        f"{memory[0] / mega:.0f} and {memory[1] / mega:.0f} MiB of memory, {files[0]} and {files[1]} open files, "
        f"{size[0] / mega:.2f} and {size[1] / mega:.2f} MiB on disk"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("runs/soak"))
    options = parser.parse_args()
    try:
        soak(options.kills, options.out, say=lambda text: print(text, flush=True))
    except AssertionError as error:
        sys.exit(f"soak: FAILED: {error}")


if __name__ == "__main__":
    main()
