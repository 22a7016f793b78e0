"""What is run: a T-maze whose end is far, with different shares of demonstrations and numbers of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.stored_state.cells import changed
from experiments.study import Cell, Label
from r2d2.config.presets import MEMORY

SOLVED = 3.8  # of 4, as in the memory benchmark
GUESS = 1.95  # the best without memory

# The reward is 201 steps away: walking at random hardly ever comes there before an episode is cut off.
TASK: dict[str, Any] = {
    "env.id": "TMaze-v0", "env.options": {"corridor": 200}, "run.steps": 200_000, "run.evaluate_period": 10_000,
    "run.checkpoint_period": 1_000_000_000,
}  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """How many episodes are shown, and what share of every batch they are."""

    episodes: int = 0
    share: float = 0.0


AGENTS: dict[str, Shown] = {
    "without": Shown(),
    "share-1/8": Shown(50, 0.125),
    "share-1/4": Shown(50, 0.25),
    "share-1/2": Shown(50, 0.5),
    "few": Shown(5, 0.25),
}


def dataset(root: Path, shown: Shown) -> Path:
    """Where the demonstrations of an agent are."""
    return root / f"shown-{shown.episodes}"


def cell(name: str, root: Path, changes: Mapping[str, Any]) -> Cell:
    """An agent as a cell of the study, whose demonstrations are in `root`."""
    shown = AGENTS[name]
    values: dict[str, Any] = {**TASK, **changes}
    if shown.episodes:
        values["replay.demonstrations"] = str(dataset(root, shown))
        values["replay.demonstration_share"] = shown.share
    labels: dict[str, Label] = {
        "task": "tmaze",
        "agent": name,
        "episodes": shown.episodes,
        "share": shown.share,
    }
    return Cell(name.replace("/", "-"), "memory", changed(MEMORY, values), labels)
