"""The command line: `r2d2 train | resume | evaluate | replay | bench`."""

from __future__ import annotations

import difflib
import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from r2d2.checkpoint.checkpoint import CheckpointError
from r2d2.config import Config
from r2d2.config.changes import CHANGES
from r2d2.config.presets import PRESETS, preset
from r2d2.config.renamed import RENAMED
from r2d2.dataset.files import DatasetError
from r2d2.tracking.wandb import sweep_run

USAGE = """usage: r2d2 COMMAND ...

  train [PRESET] [--env ID] [--seed S] [--run-dir DIR] [--dry-run] [--any.config.field VALUE]
      train; presets: {presets} (without one, picked by hardware),
      each with changes, as in r2d2-small+gru+n3:
        {changes}
  resume RUN_DIR [--steps N] [--checkpoint PATH] [--track MODE]
      go on exactly where a run stopped
  evaluate RUN_DIR [--episodes N] [--video] [--memory K ...] [--seed S] [--checkpoint PATH]
      greedy episodes under the training protocol
  replay export | info | import ...
      the replay of a run as a dataset, and a run that begins with one
  bench learner | actor | train [PRESET]
      where the time goes on this machine, stage by stage

`r2d2 COMMAND --help` lists every option."""

SHORT = {
    "--env": "--env.id",
    "--seed": "--run.seed",
    "--steps": "--run.steps",
    "--track": "--run.track",
    "--runtime": "--run.runtime",
}


class UserError(ValueError):
    """A mistake that the user can mend: shown without a traceback (R2D2_TRACEBACK=1 shows it)."""


@dataclass(frozen=True)
class Train:
    """Train an agent; every number of the preset can be overridden."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    run_dir: Path | None = None
    """Folder of the run; default is runs/<task>-<preset>-<seed>-<time>."""
    dry_run: bool = False
    """Say what the replay will take in memory, by column, and stop."""


@dataclass(frozen=True)
class Resume:
    """Go on exactly where a run stopped."""

    run_dir: tyro.conf.Positional[Path]
    """The run's folder."""
    steps: int | None = None
    """Train up to this many environment steps instead of the run's own number."""
    checkpoint: Path | None = None
    """This checkpoint instead of the newest."""
    track: str | None = None
    """Weights & Biases: auto, wandb, wandb-offline or none; default is the run's own."""
    actors: int | None = None
    """Cluster runtime: this many actor processes instead of the run's own number."""
    shards: int | None = None
    """Cluster runtime: this many replay processes instead of the run's own number."""


@dataclass(frozen=True)
class Evaluate:
    """Play greedy episodes with a trained network, under the run's own protocol."""

    run_dir: tyro.conf.Positional[Path]
    """The run's folder."""
    episodes: int = 10
    """Episodes, one environment each."""
    video: bool = False
    """Also film one episode into RUN_DIR/videos."""
    memory: tuple[int, ...] = ()
    """Instead, episodes with the recurrent state of the last K observations only, for each of these K."""
    seed: int = 1_000_000
    """Seed of the environments."""
    checkpoint: Path | None = None
    """This checkpoint instead of the newest."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 failed, 2 wrong use, 130 stopped by a signal."""
    args = list(sys.argv[1:] if arguments is None else arguments)
    commands: dict[str, Callable[[list[str]], int]] = {
        "train": train, "resume": resume, "evaluate": evaluate, "replay": replay, "bench": bench,
    }  # fmt: skip
    if not args or args[0] in ("-h", "--help"):
        changes = textwrap.fill(", ".join(CHANGES), 90, subsequent_indent=" " * 8, break_on_hyphens=False)
        print(USAGE.format(presets=", ".join(PRESETS), changes=changes))
        return 0 if args else 2
    if args[0] not in commands:
        print(f"r2d2: unknown command {args[0]!r}: {known(args[0], commands)}", file=sys.stderr)
        return 2
    try:
        return commands[args[0]](args[1:])
    except (ValueError, MemoryError, CheckpointError, DatasetError, OSError, FloatingPointError) as error:
        if os.environ.get("R2D2_TRACEBACK"):
            raise
        print(f"r2d2 {args[0]}: {error}", file=sys.stderr)
        return 2 if isinstance(error, (ValueError, MemoryError)) else 1
    except KeyboardInterrupt:
        print(f"r2d2 {args[0]}: interrupted, without saving", file=sys.stderr)
        return 130


def pick_preset() -> tuple[str, str]:
    """The preset for this machine, and why."""
    import torch

    if torch.cuda.is_available():
        return "r2d2", f"there is a CUDA device ({torch.cuda.get_device_name(0)})"
    return "r2d2-small", f"there is no CUDA device, only {os.cpu_count()} CPU cores"


def train(args: list[str]) -> int:
    """`r2d2 train`."""
    if args and not args[0].startswith("-"):
        preset, why, args = args[0], "", args[1:]
    elif len(args) > 2 and args[-1].split("+")[0] in PRESETS and not args[-2].startswith("-"):
        preset, why, args = args[-1], "", args[:-1]  # it came last
    else:
        preset, why = pick_preset()
    default = Train(named_preset(preset))
    parsed = tyro.cli(Train, args=shorten(args), default=default, prog=f"r2d2 train {preset}")
    config = parsed.config
    run_dir = parsed.run_dir or default_run_dir(config, preset)
    if run_dir.exists() and any(run_dir.iterdir()):
        raise UserError(
            f"{run_dir} is not empty: `r2d2 resume {run_dir}` goes on with the run in it, "
            "--run-dir names another folder"
        )
    if why:
        print(f"preset {preset}, because {why}; `r2d2 train PRESET` names another")
    from r2d2.runtime import run_folder  # torch takes seconds to import: not for a mistyped option

    if parsed.dry_run:
        return run_folder.size_report(config)
    return run_folder.start(config, run_dir, preset=preset)


def named_preset(name: str) -> Config:
    """The preset of a name as `r2d2-small+gru`, or what may have been meant."""
    base, *changes = name.split("+")
    if base not in PRESETS:
        raise UserError(f"unknown preset {base!r}: {known(base, PRESETS)}")
    for change in changes:
        if change not in CHANGES:
            raise UserError(f"unknown change {change!r} of a preset: {known(change, CHANGES)}")
    return preset(name)


def resume(args: list[str]) -> int:
    """`r2d2 resume`."""
    parsed = tyro.cli(Resume, args=args, prog="r2d2 resume")
    from r2d2.runtime import run_folder  # torch takes seconds to import: not for --help

    processes = {"actors": parsed.actors, "shards": parsed.shards}
    return run_folder.resume(
        parsed.run_dir, parsed.checkpoint, steps=parsed.steps, track=parsed.track,
        processes={name: count for name, count in processes.items() if count is not None},
    )  # fmt: skip


def evaluate(args: list[str]) -> int:
    """`r2d2 evaluate`."""
    parsed = tyro.cli(Evaluate, args=args, prog="r2d2 evaluate")
    for name in ("episodes", "seed"):
        least = 1 if name == "episodes" else 0
        if getattr(parsed, name) < least:
            raise UserError(f"--{name} must be at least {least}, got {getattr(parsed, name)}")
    from r2d2.runtime import run_folder  # torch takes seconds to import: not for --help

    if parsed.memory:
        return run_folder.memory_test(
            parsed.run_dir, parsed.checkpoint, histories=list(parsed.memory), episodes=parsed.episodes,
            seed=parsed.seed,
        )  # fmt: skip
    return run_folder.evaluate(
        parsed.run_dir, parsed.checkpoint, episodes=parsed.episodes, video=parsed.video, seed=parsed.seed
    )


def replay(args: list[str]) -> int:
    """`r2d2 replay`."""
    from r2d2.cli import replay as cli_replay  # it imports this module

    return cli_replay.main(args)


def bench(args: list[str]) -> int:
    """`r2d2 bench`."""
    from r2d2.cli import bench as cli_bench  # it imports this module

    return cli_bench.main(args)


def shorten(args: list[str]) -> list[str]:
    """Spell out the short options (`--env ID` is `--env.id ID`) and, with a hint, those that have been renamed."""
    long = []
    for arg in args:
        name, equals, value = arg.partition("=")
        if name.startswith("--") and (today := RENAMED.get(name[2:].replace("-", "_"))):
            today = "--" + today.replace("_", "-")
            print(
                f"{name} is now called {today}; the old name will go with the next release", file=sys.stderr
            )
            name = today
        long.append(SHORT.get(name, name) + equals + value)
    return long


def known(name: str, names: Iterable[str]) -> str:
    """What may have been meant by `name`, and all that is known."""
    near = difflib.get_close_matches(name, names, 1)
    return f"{f'did you mean {near[0]}? ' if near else ''}use one of {', '.join(names)}"


def default_run_dir(config: Config, preset: str) -> Path:
    """runs/<task>-<preset>-<seed>-<time>: never the folder of another run. Agents of a sweep may begin at the same
    moment, so theirs ends in the id of the sweep's run."""
    task = config.env.id.split("/")[-1].split(":")[-1]
    when = sweep_run() or time.strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{task}-{preset}-s{config.run.seed}-{when}"


if __name__ == "__main__":
    sys.exit(main())
