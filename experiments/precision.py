"""The same learning in bfloat16: preset memory on Recall with torso and heads in float32 and in bfloat16.

    python -m experiments.precision --runs runs/precision --out experiments/results/precision [--seeds 0 1 2 3 4]

For learner and actor; the core, the last layers, losses and parameters are float32 in both cases. On a CPU without
native bfloat16 PyTorch emulates it with the same rounding, more slowly. Writes precision.csv (every evaluation) and
README.md.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from experiments import study
from r2d2.config import Config
from r2d2.config.presets import preset
from r2d2.tracking.tracker import read_metrics

PRESET = "memory+lstm-stored"
PRECISIONS: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
SOLVED = 0.95  # mean return of an evaluation; 1 is the best possible


def config(precision: Literal["float32", "bfloat16"], steps: int) -> Config:
    """The preset in one precision."""
    base = preset(PRESET)
    return replace(
        base,
        learner=replace(base.learner, precision=precision),
        actor=replace(base.actor, precision=precision),
        run=replace(base.run, steps=steps, track="none"),
    )


def evaluations(run_dir: Path) -> list[tuple[int, float]]:
    """Environment steps and mean return of each evaluation of a run."""
    name = "evaluate/mean_return"
    return [(line["env_steps"], line[name]) for line in read_metrics(run_dir) if line.get(name) is not None]


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """A table of seeds: when each solved the task, and its last evaluation."""
    seeds = sorted({row["seed"] for row in rows})
    lines = [
        f"# Preset {PRESET} on Recall in float32 and in bfloat16",
        "",
        f"First evaluation with a mean return of {SOLVED} at, in environment steps (and the last evaluation's).",
        "",
        "| precision | " + " | ".join(f"seed {seed}" for seed in seeds) + " |",
        "|---" * (len(seeds) + 1) + "|",
    ]
    for precision in PRECISIONS:
        cells = []
        for seed in seeds:
            curve = [row for row in rows if (row["precision"], row["seed"]) == (precision, seed)]
            if not curve:  # not finished
                cells.append("-")
                continue
            solved = next((row["env_steps"] for row in curve if row["mean_return"] >= SOLVED), None)
            ended = f"{curve[-1]['mean_return']:.2f}"
            cells.append(f"not solved ({ended})" if solved is None else f"{solved:,} ({ended})")
        lines.append(f"| {precision} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, default=preset(PRESET).run.steps, help="of each run")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    options = parser.parse_args(arguments)
    cells = [study.Cell(p, PRESET, config(p, options.steps), {"precision": p}) for p in PRECISIONS]
    jobs = study.plan(cells, options.seeds, options.runs)
    code = study.execute(jobs, workers=options.jobs)
    rows = [
        {"precision": job.cell.name, "seed": job.seed, "env_steps": steps, "mean_return": mean}
        for job in jobs
        if job.finished
        for steps, mean in evaluations(job.run_dir)
    ]
    if rows:
        options.out.mkdir(parents=True, exist_ok=True)
        with (options.out / "precision.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        (options.out / "README.md").write_text(summary(rows))
        print(summary(rows))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
