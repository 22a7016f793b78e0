"""The settings of the study: cores, where an item's recurrent state comes from, and how long it is warmed up.

The preset `memory` with short items: 5 trained steps, one begins every 5 steps. What was shown at step 0 is asked
for at step `asked`. Where that lies in the first item, which begins with the episode, all starts are one and the
same: there a core shows that it learns the task at all. On the other tasks no burn-in of the study sees the cue, so
that only the recurrent state can bring it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from experiments.stored_state.cells import CONTROL, CUES, NOISE, STRATEGIES, UNROLL, changed
from experiments.study import Cell, Label
from r2d2.config import Config
from r2d2.config.presets import preset

PRESET = "memory"
CORES = ("lstm", "gru", "lru", "mingru")
BURN_INS = (0, 5)
GROUP = "stored-state-cores"
STUDY = {
    "replay.unroll": UNROLL,
    "replay.period": UNROLL,
    "replay.block": UNROLL,
    "replay.replay_ratio": 16.0,  # a third of the preset's, so that a run takes 20 seconds
    "run.steps": 40_000,
    "run.evaluate_period": 2000,
    "run.checkpoint_period": 1_000_000_000,  # only the last one, since each cuts the episodes
    "run.group": GROUP,
}


@dataclass(frozen=True)
class Task:
    """A task that shows a cue at step 0 and asks for it at step `asked`; the best return is 1, a guess's 0."""

    env: str
    options: Mapping[str, float]
    asked: int

    @property
    def inside(self) -> bool:
        """Whether cue and question lie in the same item, the first of the episode."""
        return self.asked < UNROLL


def _recall(delay: int) -> Task:
    return Task("Recall-v0", {"delay": delay, "cues": CUES, "noise": NOISE}, delay + 1)


def _chain(length: int) -> Task:
    return Task("MemoryChain-v0", {"length": length}, length)


TASKS = {"recall-3": _recall(3), "recall-10": _recall(10), "chain-4": _chain(4), "chain-20": _chain(20)}


def cells(tasks: Sequence[str], cores: Sequence[str], changes: Mapping[str, object]) -> list[Cell]:
    """Every start with every burn-in where the question lies beyond the window, and whole episodes for all tasks;
    `changes` come last.
    """
    made = []
    for name in tasks:
        task = TASKS[name]
        for core in cores:
            own = {"env.id": task.env, "env.options": dict(task.options), "network.core": core}
            base = changed(preset(PRESET), {**STUDY, **own, **changes})
            if not task.inside:
                made += [_cell(base, name, core, start, n) for start in STRATEGIES for n in BURN_INS]
            made.append(_cell(base, name, core, CONTROL, 0))
    return made


def _cell(base: Config, task: str, core: str, start: str, burn_in: int) -> Cell:
    config = replace(
        base,
        replay=replace(base.replay, initial_state=start, burn_in=burn_in),  # type: ignore[arg-type]
        run=replace(base.run, tags=(core, start, f"burn-in {burn_in}")),
    )
    labels: dict[str, Label] = {"task": task, "core": core, "strategy": start, "burn_in": burn_in}
    return Cell(f"{task}-{core}-{start}-burnin{burn_in}", PRESET, config, labels)
