"""The results of the runs as three small tables: curves, scores and the memory test."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.stored_state.cells import histories
from experiments.study import Job, gather
from r2d2.report.intervals import Interval, interval

Row = dict[str, Any]

SCORE = "evaluate/mean_return"
FIRST, LAST = "replay/delta_q_first", "replay/delta_q_last"
METRICS = (
    SCORE,
    FIRST,
    LAST,
    f"{FIRST}_median",
    f"{LAST}_median",
    "replay/age",
    "replay/parameter_lag",
)
LABELS = ("task", "core", "strategy", "burn_in", "delay", "seed")  # that tell runs apart
FINAL = 0.2  # share of a run's evaluations, the last ones, whose mean is its score; ours
EPISODES = 64  # of the memory test
TEST_SEED = 1_000_000
SOLVED = 0.9  # of the best return, 1; ours


def curves(jobs: Iterable[Job]) -> list[Row]:
    """Every record of the finished runs."""
    return gather(jobs, METRICS)


def scores(curve: Sequence[Row]) -> list[Row]:
    """One row per run: its labels, its score, and its mean Delta-Q over the second half of the run."""
    rows = []
    labels = [name for name in LABELS if curve and name in curve[0]]
    for key in dict.fromkeys(tuple(row[name] for name in labels) for row in curve):
        row: Row = dict(zip(labels, key, strict=True))
        own = chosen(curve, **row)
        returns = [r[SCORE] for r in own if has(r, SCORE)]
        half = own[-1]["env_steps"] / 2
        row["score"] = float(np.mean(returns[-max(1, round(FINAL * len(returns))) :]))
        for name in (FIRST, LAST):
            late = [r[name] for r in own if has(r, name) and r["env_steps"] >= half]
            row[name] = float(np.mean(late)) if late else float("nan")
        rows.append(row)
    return rows


def memory_test(run_dir: Path) -> None:
    """Make the memory test of a run on Recall."""
    from r2d2.runs import folder
    from r2d2.runtime import evaluation

    config, _ = folder.read_config(run_dir)
    tested = list(histories(int(config.env.options["delay"])))
    evaluation.memory_test(run_dir, None, histories=tested, episodes=EPISODES, seed=TEST_SEED)


def memory(jobs: Iterable[Job]) -> list[Row]:
    """The memory test of each finished run, one row per history; the whole episode is history 0."""
    rows = []
    for job in jobs:
        for file in sorted((job.run_dir / "evaluations").glob("*-memory-*.json")) if job.finished else ():
            for test in json.loads(file.read_text())["memory"]:
                row: Row = dict(job.cell.labels) | {"seed": job.seed, "history": test["history"] or 0}
                row["score"] = test["mean_return"]
                row["max_q_difference"] = test["max_q_difference"] / max(abs(test["max_q"]), 1e-8)
                row["equal_actions"] = test["equal_actions"]
                rows.append(row)
    return rows


def has(row: Row, name: str) -> bool:
    """Whether the row was logged with that number (a CSV file has empty text where it was not)."""
    return row.get(name) not in (None, "")


def chosen(rows: Iterable[Row], **wanted: Any) -> list[Row]:
    """The rows whose columns have these values."""
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def known(rows: Iterable[Row], column: str) -> list[Row]:
    """The rows that have this number; a run that ends before it is measured has NaN."""
    return [row for row in rows if row[column] == row[column]]


def over_seeds(rows: Sequence[Row], column: str) -> Interval:
    """Mean and 95 % interval of a column; one row per seed."""
    if len({row["seed"] for row in rows}) != len(rows):
        raise ValueError(f"there must be one row a seed, got {len(rows)} rows of fewer seeds")
    return interval([row[column] for row in rows])


def load(folder: Path, name: str) -> list[Row]:
    """Read a table."""
    from experiments.replay.evidence import read_rows

    return read_rows(folder / name)
