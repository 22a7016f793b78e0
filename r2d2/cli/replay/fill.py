"""`r2d2 replay import`: start a run whose replay holds a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from r2d2.cli.arguments import (
    DatasetDir,
    Preset,
    RunDir,
    UsageError,
    expand,
    named_preset,
    parse,
    pick_preset,
)
from r2d2.cli.command import Command
from r2d2.config import Config, check_config, from_dict
from r2d2.dataset.files import Dataset, open_dataset


@dataclass(frozen=True)
class Import:
    """Start a run whose replay holds a dataset; every value of the config can be overridden.

    Without a preset, the config is that of the run that recorded the dataset.
    """

    dataset: DatasetDir
    """The dataset's folder."""
    run_dir: RunDir
    """The new run's folder."""
    config: Annotated[Config, tyro.conf.arg(name="")]
    preset: Preset = ""
    """The agent, as r2d2-small+gru."""
    core_state: Literal["recompute", "zero"] = "recompute"
    """Recurrent states of the items: those of the run's new network along each episode, or zero."""
    other_protocol: bool = False
    """Accept steps recorded under another env.protocol, env.life_loss or env.options."""


def run(args: list[str]) -> int:
    """`r2d2 replay import`."""
    first = _parse(args, Config())
    dataset = open_dataset(first.dataset)
    preset, default = _default(dataset, first.preset)
    parsed = _parse(args, default)
    check_config(parsed.config)
    run_dir = parsed.run_dir
    if run_dir.exists() and (not run_dir.is_dir() or any(run_dir.iterdir())):
        raise UsageError(f"{run_dir} is not empty: a dataset begins a new run, name another folder")
    from r2d2.runtime.dataset_runs import import_run  # torch takes seconds to import: not for --help

    import_run(
        parsed.config,
        run_dir,
        dataset,
        preset=preset,
        core_state=parsed.core_state,
        other_protocol=parsed.other_protocol,
    )
    print(f"`r2d2 resume {run_dir}` trains from it")
    return 0


def _parse(args: list[str], config: Config) -> Import:
    default = Import(dataset=tyro.MISSING, run_dir=tyro.MISSING, config=config)
    return parse(Import, expand(args), prog="r2d2 replay import", default=default)


def _default(dataset: Dataset, named: str) -> tuple[str, Config]:
    """Preset and config before options: the named preset's, else those of the dataset's own run."""
    source = dataset.head.get("source", {})
    if not named and "config" in source:
        return str(source["preset"]), from_dict(source["config"])
    preset = named or pick_preset()[0]
    return preset, named_preset(preset)


COMMAND = Command(
    "DATASET RUN_DIR [PRESET] [--core-state recompute|zero] [OPTIONS]",
    "start a run whose replay holds a dataset; `r2d2 resume RUN_DIR` trains it",
    run,
)
