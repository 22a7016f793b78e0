"""The agents of the memory benchmark: cores and starts of the preset `memory`, each on each task of a tier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.memory.tasks import TASKS, TIERS, Task
from experiments.stored_state.cells import changed
from experiments.study import Cell, Job, plan
from r2d2.config.changes import CHANGES
from r2d2.config.presets import MEMORY

GROUP = "memory-benchmark"
PEER = "recurrent-ppo"

# Name -> what it changes in the preset `memory`; one with a + names the changes, as in `memory+lstm+stored`.
AGENTS: dict[str, dict[str, object]] = {
    "memory": {},
    **{name: CHANGES[name] for name in ("rescaling", "ez-greedy", "slow-core")},
    "lstm-stored": CHANGES["lstm-stored"],
    "feed-forward": CHANGES["feed-forward"],
    **{
        f"{core}+{start}": CHANGES[core] | CHANGES[start]
        for core in ("lstm", "gru", "lru", "mingru", "ffm")
        for start in ("stored", "refreshed", "episode")
        if (core, start) != ("lru", "episode")  # the preset itself
    },
}
# The first tiers ask how good the preset is, the last one which part of it does what.
SHORT = ("memory", "lstm-stored", "feed-forward")
AGENTS_OF_TIER: dict[str, tuple[str, ...]] = {"minute": ("memory",), "hour": SHORT, "night": tuple(AGENTS)}


def cells(tasks: Sequence[str], agents: Sequence[str], changes: Mapping[str, object]) -> list[Cell]:
    """One cell for each task and agent; `changes` come last."""
    return [_cell(TASKS[task], agent, changes) for task in tasks for agent in agents]


def _cell(task: Task, agent: str, changes: Mapping[str, object]) -> Cell:
    base: dict[str, object] = {
        "env.id": task.env,
        "env.options": dict(task.options),
        "run.steps": task.steps,
        "run.checkpoint_period": 1_000_000_000,  # the last one alone: each would cut the episodes
        "run.group": GROUP,
    }
    config = changed(MEMORY, {**base, **AGENTS[agent], **changes})
    return Cell(f"{task.name}-{agent}", "memory", config, {"task": task.name, "agent": agent})


def jobs(
    tier: str, seeds: Sequence[int], root: Path, changes: Mapping[str, Any], *,
    tasks: Sequence[str] = (), agents: Sequence[str] = (),
) -> list[Job]:  # fmt: skip
    """The runs of a tier, or of the tasks and agents that are named."""
    chosen = tuple(agents) or AGENTS_OF_TIER[tier]
    return plan(cells(tuple(tasks) or TIERS[tier], chosen, changes), seeds, root)
