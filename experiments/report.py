"""Run folders -> the small files that are committed as evidence: a curve, a summary and a figure.

    python -m experiments.report RUN_DIR [RUN_DIR ...] --out experiments/results/pong_small --goal 18

Several runs of the same task become one figure, one curve file each. Nothing here imports torch.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from r2d2.tracking.metrics import read_metrics

Lines = list[dict[str, Any]]

CURVE = ("env_steps", "updates", "wall_seconds", "train/mean_return", "evaluate/mean_return")
POINTS = 300  # lines of a committed curve, at most


def main() -> None:
    """Write the report of the runs named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="run folders")
    parser.add_argument("--out", type=Path, required=True, help="folder of the result files")
    parser.add_argument("--goal", type=float, help="evaluation return whose first time is reported")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    curves = {run.name: read_metrics(run / "metrics.jsonl") for run in arguments.runs}
    for number, (name, lines) in enumerate(curves.items()):
        write_curve(lines, arguments.out / f"curve{number}.csv")
        summary = summarize(arguments.runs[number], lines, arguments.goal)
        (arguments.out / f"summary{number}.json").write_text(json.dumps(summary, indent=2) + "\n")
        print(json.dumps({name: summary}, indent=2))
    draw(curves, arguments.out / "curve.png", arguments.goal)


def write_curve(lines: Lines, path: Path) -> None:
    """Training and evaluation returns as CSV: every evaluation, and every k-th of the other reports."""
    training = [line for line in lines if "train/mean_return" in line]
    keep = training[:: max(1, -(-len(training) // POINTS))]
    evaluations = [line for line in lines if "evaluate/mean_return" in line]
    rows = sorted(keep + evaluations, key=lambda line: (line["env_steps"], line["wall_seconds"]))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, CURVE, extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: _short(row.get(key)) for key in CURVE})


def _short(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value


def summarize(run: Path, lines: Lines, goal: float | None) -> dict[str, Any]:
    """What a reader asks first: how it was made, how long it took, how good it got, when."""
    provenance = json.loads((run / "provenance.json").read_text())
    config = json.loads((run / "config.json").read_text())
    evaluations = [line for line in lines if "evaluate/mean_return" in line]
    last = lines[-1]
    summary: dict[str, Any] = {
        "command": " ".join(["r2d2", *provenance[0]["command"][1:]]),
        "preset": config["preset"],
        "commit": (provenance[0]["git"] or {}).get("commit"),
        "cpus": provenance[0]["cpus"],
        "cuda_device": provenance[0]["cuda_device"],
        "versions": provenance[0]["versions"],
        "resumes": len(provenance) - 1,
        "env_steps": last["env_steps"],
        "updates": last["updates"],
        "wall_minutes": round(last["wall_seconds"] / 60, 1),
        "replay_ratio": round(next((x["replay/ratio"] for x in lines[::-1] if "replay/ratio" in x), 0.0), 3),
        "last_evaluation": evaluations[-1]["evaluate/mean_return"] if evaluations else None,
        "best_evaluation": max((x["evaluate/mean_return"] for x in evaluations), default=None),
    }
    if goal is not None:
        first = next((x for x in evaluations if x["evaluate/mean_return"] >= goal), None)
        keys = ("env_steps", "updates", "wall_seconds", "evaluate/mean_return")
        summary[f"first_evaluation_at_least_{goal:g}"] = first and {key: _short(first[key]) for key in keys}
    return summary


def draw(curves: dict[str, Lines], path: Path, goal: float | None) -> None:
    """Returns against environment steps and against wall-clock minutes."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True, constrained_layout=True)
    for axis, key, scale, label in (
        (axes[0], "env_steps", 1e6, "million environment steps"),
        (axes[1], "wall_seconds", 60.0, "wall-clock minutes"),
    ):
        for number, (name, lines) in enumerate(curves.items()):
            color = f"C{number}"
            for metric, style, what in (
                ("train/mean_return", {"alpha": 0.45, "lw": 1.2}, "training, last 50 episodes"),
                ("evaluate/mean_return", {"marker": "o", "ms": 3.5, "lw": 1.6}, "greedy evaluation"),
            ):
                points = [line for line in lines if line.get(metric) is not None]
                x = [line[key] / scale for line in points]
                axis.plot(x, [line[metric] for line in points], color=color, label=f"{name}: {what}", **style)
        if goal is not None:
            axis.axhline(goal, color="0.5", lw=0.8, ls="--")
        axis.set_xlabel(label)
        axis.grid(alpha=0.25)
    axes[0].set_ylabel("episode return")
    axes[1].legend(fontsize=7, loc="upper left")
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
