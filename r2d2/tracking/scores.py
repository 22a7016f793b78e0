"""The scores of a run: its greedy evaluations, from `metrics.jsonl`, which is kept across resumes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from r2d2.tracking.metrics import read_metrics


class Score(NamedTuple):
    """One greedy evaluation."""

    mean_return: float
    env_steps: int

    def __str__(self) -> str:
        return f"{self.mean_return:,.2f} at {self.env_steps:,} steps"


def scores(run_dir: Path) -> list[Score]:
    """Every evaluation of a run, in order."""
    return [
        Score(line["evaluate/mean_return"], line.get("evaluate/env_steps", line["env_steps"]))
        for line in read_metrics(run_dir)
        if line.get("evaluate/mean_return") is not None
    ]


def closing_lines(run_dir: Path, *, stopped: bool) -> list[str]:
    """The last lines of a run: its final and best score, its folder, and the commands to continue."""
    found = scores(run_dir)
    lines = []
    if found:
        best = max(found, key=lambda score: score.mean_return)  # the first one of equal scores
        lines.append(f"final evaluation: return {found[-1]}; best: {best}")
    lines.append(f"run folder: {run_dir}")
    if stopped:
        return [*lines, f"  r2d2 resume {run_dir}  resumes exactly here"]
    return [
        *lines,
        f"  r2d2 evaluate {run_dir}  plays greedy episodes",
        f"  r2d2 resume {run_dir} --steps N  trains further",
    ]
