"""What comes out of the runs, as three small tables: curves, scores and the reach of memory."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.memory.cells import PEER
from experiments.memory.tasks import TASKS, Task
from experiments.processor_time import processor_seconds
from experiments.stored_state.rows import SCORE, has
from experiments.study import Job, gather

Row = dict[str, Any]

FINAL = 0.2  # share of a run's evaluations, the last ones, whose mean is its score; ours
EPISODES = 64  # of the memory test
TEST_SEED = 1_000_000


def finish(run_dir: Path) -> None:
    """After a run: its memory test. It is for tasks of this benchmark."""
    from r2d2.runs import folder
    from r2d2.runtime import evaluation

    config, _ = folder.read_config(run_dir)
    if config.network.core == "none":
        return
    own = [t for t in TASKS.values() if t.env == config.env.id and dict(t.options) == config.env.options]
    evaluation.memory_test(run_dir, None, histories=histories(own[0]), episodes=EPISODES, seed=TEST_SEED)


def histories(task: Task) -> list[int]:
    """Observations that the memory test allows: powers of two, and one too few and just enough where it is known.

    >>> histories(TASKS["chain-10"])
    [1, 2, 4, 8, 10, 11]
    """
    lag = task.options.get("length" if "length" in task.options else "corridor")
    if lag is None:
        return [1, 2, 4, 8, 16, 32]
    return sorted({*(2**k for k in range(int(math.log2(lag)) + 1)), int(lag), int(lag) + 1})


def curves(jobs: Iterable[Job], peers: Mapping[tuple[str, int], Path]) -> list[Row]:
    """Every evaluation of the finished runs, with the CPU seconds that the whole run took; the peer's too."""
    rows = []
    for job in jobs:
        own = [row for row in gather([job], [SCORE]) if has(row, SCORE)]
        if not own:
            continue
        whole, last = processor_seconds(job.run_dir), own[-1]["env_steps"]
        for row in own:
            head = {name: row[name] for name in ("task", "agent", "seed", "env_steps")}
            rows.append(head | {"score": row[SCORE], "cpu_seconds": whole * row["env_steps"] / last})
    for (task, seed), file in peers.items():
        if file.exists():
            for line in map(json.loads, file.read_text().splitlines()):
                head = {"task": task, "agent": PEER, "seed": seed, "env_steps": int(line["env_steps"])}
                rows.append(head | {"score": line["score"], "cpu_seconds": line["cpu_seconds"]})
    return rows


def scores(curve: Sequence[Row]) -> list[Row]:
    """One row a run: its score and best evaluation, the steps at which it first solved the task and those from
    which it held, empty where it never did, and CPU seconds.

    The peer has two: up to the task's steps, and (`recurrent-ppo, same time`) up to the seconds of the preset.
    """
    rows = []
    for task, agent, seed in dict.fromkeys((r["task"], r["agent"], r["seed"]) for r in curve):
        own = [r for r in curve if (r["task"], r["agent"], r["seed"]) == (task, agent, seed)]
        steps = max(
            (r["env_steps"] for r in curve if r["task"] == task and r["agent"] != PEER), default=math.inf
        )
        parts = {agent: [r for r in own if r["env_steps"] <= steps]} if agent == PEER else {agent: own}
        if agent == PEER:
            parts[f"{PEER}, same time"] = own
        for name, part in parts.items():
            if part:
                head: Row = {"task": task, "agent": name, "seed": seed}
                rows.append(head | score(part, TASKS[task].solved))
    return rows


def score(own: Sequence[Row], level: float) -> Row:
    """Of one run's evaluations, in order.

    >>> returns = enumerate([0, 1, 0, 1])
    >>> score([{"env_steps": 10 * k, "score": r, "cpu_seconds": k} for k, r in returns], 0.9)
    {'score': 1.0, 'best': 1, 'first': 10, 'holds': 30, 'seconds_to_hold': 3, 'cpu_seconds': 3}
    """
    reached = [row["score"] >= level for row in own]
    first = reached.index(True) if any(reached) else None
    lost = [k for k, solved in enumerate(reached) if not solved]
    holds = (lost[-1] + 1 if lost else 0) if reached[-1] else None
    return {
        "score": float(np.mean([row["score"] for row in own[-max(1, round(FINAL * len(own))) :]])),
        "best": max(row["score"] for row in own),
        "first": "" if first is None else own[first]["env_steps"],
        "holds": "" if holds is None else own[holds]["env_steps"],
        "seconds_to_hold": "" if holds is None else own[holds]["cpu_seconds"],
        "cpu_seconds": own[-1]["cpu_seconds"],
    }


def reach(jobs: Iterable[Job]) -> list[Row]:
    """The memory test of each finished run, one row a history; the whole episode is history 0."""
    rows = []
    for job in jobs:
        for file in sorted((job.run_dir / "evaluations").glob("*-memory-*.json")) if job.finished else ():
            for test in json.loads(file.read_text())["memory"]:
                row: Row = dict(job.cell.labels) | {"seed": job.seed, "history": test["history"] or 0}
                rows.append(row | {"score": test["mean_return"]})
    return rows
