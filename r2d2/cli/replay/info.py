"""`r2d2 replay info`: describe a dataset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from r2d2.cli.arguments import DatasetDir, parse
from r2d2.cli.command import Command
from r2d2.dataset.files import Dataset, open_dataset


@dataclass(frozen=True)
class Info:
    """Describe a dataset."""

    dataset: DatasetDir
    """The dataset's folder."""
    verify: bool = False
    """Also read every byte and compare the checksums."""


def run(args: list[str]) -> int:
    """`r2d2 replay info`."""
    parsed = parse(Info, args, prog="r2d2 replay info")
    dataset = open_dataset(parsed.dataset)
    print("\n".join(describe(dataset)))
    if parsed.verify:
        dataset.verify()
        print("every file is as it was written")
    return 0


def describe(dataset: Dataset) -> list[str]:
    """A description of a dataset, line by line."""
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


COMMAND = Command("DATASET [--verify]", "describe a dataset", run)
