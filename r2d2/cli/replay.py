"""`r2d2 replay export | info | import`: the replay of a run as a dataset, and a run that begins with one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from r2d2.cli.main import UserError, known, named_preset, pick_preset, shorten
from r2d2.config import Config, from_dict
from r2d2.dataset.files import Dataset, open_dataset

USAGE = """usage: r2d2 replay COMMAND ...

  export RUN_DIR OUT [--checkpoint PATH] [--steps N] [--min-return R]
      write the replay of a run, or a part of it, as a dataset
  info DATASET [--verify]
      what is in a dataset
  import DATASET RUN_DIR [PRESET] [--core-state recompute|zero] [--any.config.field VALUE]
      begin a run whose replay holds a dataset; `r2d2 resume RUN_DIR` trains it
      (without a preset, with the config of the run that the dataset is from)

`r2d2 replay COMMAND --help` lists every option."""


@dataclass(frozen=True)
class Export:
    """Write the replay of a run, or a part of it, as a dataset."""

    run_dir: tyro.conf.Positional[Path]
    """The run's folder."""
    out: tyro.conf.Positional[Path]
    """The dataset's folder; it must not exist."""
    checkpoint: Path | None = None
    """This checkpoint instead of the newest."""
    steps: int | None = None
    """The newest so many steps only."""
    min_return: float | None = None
    """Only whole episodes with at least this return: demonstrations."""


@dataclass(frozen=True)
class Info:
    """Say what is in a dataset."""

    dataset: tyro.conf.Positional[Path]
    """The dataset's folder."""
    verify: bool = False
    """Also read every byte and compare the checksums."""


@dataclass(frozen=True)
class Import:
    """Begin a run whose replay holds a dataset; every number of the config can be overridden."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    core_state: Literal["recompute", "zero"] = "recompute"
    """Recurrent states of the items: those of the run's new network along each episode, or zero."""
    other_protocol: bool = False
    """Take steps recorded under another env.protocol, env.life_loss or env.options."""


def main(args: list[str]) -> int:
    """`r2d2 replay`."""
    commands: dict[str, Callable[[list[str]], int]] = {"export": export, "info": info, "import": import_}
    if not args or args[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if args else 2
    if args[0] not in commands:
        raise UserError(f"unknown command {args[0]!r}: {known(args[0], commands)}")
    return commands[args[0]](args[1:])


def export(args: list[str]) -> int:
    """`r2d2 replay export`."""
    parsed = tyro.cli(Export, args=args, prog="r2d2 replay export")
    from r2d2.runtime.dataset_runs import export_run  # torch takes seconds to import: not for --help

    dataset = export_run(
        parsed.run_dir, parsed.out, parsed.checkpoint, steps=parsed.steps, min_return=parsed.min_return
    )
    print("\n".join(describe(dataset)))
    return 0


def info(args: list[str]) -> int:
    """`r2d2 replay info`."""
    parsed = tyro.cli(Info, args=args, prog="r2d2 replay info")
    dataset = open_dataset(parsed.dataset)
    print("\n".join(describe(dataset)))
    if parsed.verify:
        dataset.verify()
        print("every file is as it was written")
    return 0


def import_(args: list[str]) -> int:
    """`r2d2 replay import`."""
    words = list(itertools.takewhile(lambda arg: not arg.startswith("-"), args))
    if "--help" in args or "-h" in args:
        words = words[:2]
        tyro.cli(Import, args=["--help"], default=Import(Config()), prog="r2d2 replay import DATASET RUN_DIR")
    if not 2 <= len(words) <= 3:
        raise UserError(f"DATASET RUN_DIR [PRESET] must come first, got {words}\n\n{USAGE}")
    dataset, run_dir = open_dataset(Path(words[0])), Path(words[1])
    preset, default = _default(dataset, words[2:])
    parsed = tyro.cli(
        Import, args=shorten(args[len(words) :]), default=Import(default), prog="r2d2 replay import"
    )
    if run_dir.exists() and (not run_dir.is_dir() or any(run_dir.iterdir())):
        raise UserError(f"{run_dir} is not empty: a dataset begins a new run, name another folder")
    from r2d2.runtime.dataset_runs import import_run  # torch takes seconds to import: not for --help

    import_run(
        parsed.config, run_dir, dataset, preset=preset, core_state=parsed.core_state,
        other_protocol=parsed.other_protocol,
    )  # fmt: skip
    print(f"`r2d2 resume {run_dir}` trains from it")
    return 0


def _default(dataset: Dataset, named: list[str]) -> tuple[str, Config]:
    """Preset and config that the options change: the named preset, else those of the dataset's own run."""
    source = dataset.head.get("source", {})
    if not named and "config" in source:
        return str(source["preset"]), from_dict(source["config"])
    preset = named[0] if named else pick_preset()[0]
    return preset, named_preset(preset)


def describe(dataset: Dataset) -> list[str]:
    """What a reader wants to know of a dataset, line by line."""
    head, index = dataset.head, dataset.index
    env = head["env"]
    columns = {name: (tuple(c["shape"]), np.dtype(c["dtype"])) for name, c in head["columns"].items()}
    row_bytes = sum(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize for shape, dtype in columns.values())
    raw = (head["steps"] + head["episodes"]) * row_bytes
    lines = [
        f"dataset      {dataset.path}",
        f"environment  {env['id']}, {head['num_actions']} actions, protocol {env['protocol']}, "
        f"life_loss {env['life_loss']}, options {env['options']}",
        *(f"column       {name}: {dtype} {list(shape)}" for name, (shape, dtype) in columns.items()),
        f"steps        {head['steps']:,} in {head['episodes']:,} episodes, {dataset.whole.sum():,} whole",
        f"bytes        {dataset.nbytes:,} in {len(head['files']):,} files, {raw:,} uncompressed",
        f"lengths      {_spread(index['steps'])} steps",
    ]
    if dataset.whole.any():
        lines.append(f"returns      {_spread(index['episode_return'][dataset.whole])} of whole episodes")
    source = head.get("source", {})
    if "run" in source:
        git = source["exported"]["git"] or {}
        lines.append(
            f"source       {source['run']} {source['checkpoint']} at {source['env_steps']:,} environment "
            f"steps, {source['updates']:,} updates; exported by commit {git.get('commit') or 'unknown'}"
        )
    return lines


def _spread(values: np.ndarray) -> str:
    return (
        f"{values.min():,g} to {values.max():,g}, mean {values.mean():,.6g}, median {np.median(values):,.6g}"
    )
