"""`r2d2 replay minari`: a dataset in the format of the Farama Foundation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from r2d2.cli.arguments import DatasetDir, UsageError, parse
from r2d2.cli.command import Command
from r2d2.config import Config, EnvConfig, from_dict
from r2d2.dataset.files import Dataset, open_dataset


@dataclass(frozen=True)
class Minari:
    """Write a dataset as a Minari dataset, in Minari's own folder."""

    dataset: DatasetDir
    """The dataset's folder."""
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="minari:ID")]
    """The new dataset, as minari:recall/best-v0."""


def run(args: list[str]) -> int:
    """`r2d2 replay minari`."""
    parsed = parse(Minari, args, prog="r2d2 replay minari")
    if not parsed.name.startswith("minari:"):
        raise UsageError(f"minari:ID must begin with minari:, got {parsed.name}: write minari:{parsed.name}")
    from r2d2.build import environments  # torch takes seconds to import: not for --help
    from r2d2.runtime.minari import write_minari

    dataset = open_dataset(parsed.dataset)
    made = write_minari(dataset, parsed.name, environments.spec(Config(env=_env(dataset))))
    written = f"{made.total_steps:,} steps in {made.total_episodes:,} episodes"
    print(f"{parsed.name}: {written}, {made.storage.data_path}")
    return 0


def _env(dataset: Dataset) -> EnvConfig:
    """The environment of a dataset: as its run had it, or as its header says."""
    config = dataset.head.get("source", {}).get("config")
    env: EnvConfig = from_dict(config).env if config else EnvConfig(**dataset.head["env"])
    return env


COMMAND = Command("DATASET minari:ID", "write a dataset as a Minari dataset", run)
