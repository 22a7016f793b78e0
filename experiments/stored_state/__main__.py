"""Stored state against burn-in: `python -m experiments.stored_state [--env ID] [--seeds N] [--quick]`.

Without --env, {zero, stored, refreshed} x burn-in on Recall with the cue inside, at the edge of, and outside the
training window. With --env, {zero, stored} x burn-in {0, half, all of the preset's} on that task. The command
resumes where it stopped; Ctrl-C saves. Writes figure.png, memory.png, README.md and CSV files to --out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from experiments.stored_state import cells, figures, rows
from experiments.stored_state.page import page
from experiments.study import Cell, core_minutes, execute, plan, write_csv

RESULTS = Path(__file__).resolve().parents[1] / "results"
FIRST_SEED = 10  # the earlier ones were used for tuning


def main(arguments: list[str] | None = None) -> int:
    """Returns 0, 1 if a run failed, 130 if stopped."""
    options = _parse(arguments)
    if options.redraw:
        report(options.out)
        return 0
    seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
    jobs = plan(_cells(options), seeds, options.runs)
    after = None if options.env else rows.memory_test
    code = execute(jobs, workers=options.workers, after=after)
    if code == 0:
        options.out.mkdir(parents=True, exist_ok=True)
        curve = rows.curves(jobs)
        write_csv(curve, options.out / "curves.csv")
        write_csv(rows.scores(curve), options.out / "scores.csv")
        write_csv(rows.memory(jobs), options.out / "memory.csv")
        run = {"command": _command(options), "task": _task(options), "minutes": core_minutes(jobs)}
        (options.out / "run.json").write_text(json.dumps(run, indent=1) + "\n")
        report(options.out)
        print(f"see {options.out / 'README.md'}")
    return code


def report(folder: Path) -> None:
    """Figures and page from the tables alone."""
    curve, score = rows.load(folder, "curves.csv"), rows.load(folder, "scores.csv")
    memory = rows.load(folder, "memory.csv")
    run: dict[str, Any] = json.loads((folder / "run.json").read_text())
    figures.draw(curve, score, 2.0 / cells.CUES - 1.0, folder / "figure.png")
    if memory:
        figures.draw_memory(memory, folder / "memory.png")
    (folder / "README.md").write_text(page(score, run | {"memory": bool(memory)}))


def _cells(options: argparse.Namespace) -> list[Cell]:
    changes: dict[str, object] = {"run.track": options.track}
    if options.steps:
        changes["run.steps"] = options.steps
    if options.env:
        return cells.game_cells(options.env, options.preset, changes)
    return cells.recall_cells(cells.QUICK if options.quick else cells.FULL, changes)


def _task(options: argparse.Namespace) -> str:
    if options.env:
        return f"{options.env} with preset {options.preset}"
    return f"Recall (a cue, a noisy delay, a question) with windows of {cells.UNROLL} trained steps"


def _command(options: argparse.Namespace) -> str:
    parts = ["make ablation"]
    if options.env:
        parts += [f"ENV={options.env}", f"PRESET={options.preset}"]
    changes = [f"--{name} {getattr(options, name)}" for name in ("steps",) if getattr(options, name)]
    changes += ["--quick"] if options.quick else []
    changes += [f"--seeds {options.seeds}"] if options.seeds != 5 else []
    return " ".join(parts + ([f'ARGS="{" ".join(changes)}"'] if changes else []))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="experiments.stored_state",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--env", help="another task, as ALE/Pong-v5; default is Recall-v0")
    parser.add_argument("--preset", default="r2d2-small", help="with --env (default r2d2-small)")
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds (default 5)")
    parser.add_argument("--steps", type=int, help="environment steps of a run instead of the task's own")
    parser.add_argument("--workers", type=int, default=2, help="runs side by side (default 2)")
    parser.add_argument("--quick", action="store_true", help="four settings of one delay, for a first look")
    parser.add_argument(
        "--track", default="none", help="Weights & Biases: none (default), auto, wandb, wandb-offline"
    )
    parser.add_argument("--redraw", action="store_true", help="figures and page from the tables in --out")
    parser.add_argument("--runs", type=Path, help="folder of the runs; default runs/stored_state[-TASK]")
    parser.add_argument(
        "--out", type=Path, help="default experiments/results/stored_state[-TASK]; quick: in runs/"
    )
    options = parser.parse_args(arguments)
    for name in ("seeds", "steps", "workers"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    name = "stored_state" + (f"-{options.env.split('/')[-1]}" if options.env else "")
    name += "-quick" if options.quick else ""
    options.runs = options.runs or Path("runs") / name
    options.out = options.out or (options.runs / "results" if options.quick else RESULTS / name)
    return options


if __name__ == "__main__":
    sys.exit(main())
