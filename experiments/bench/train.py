"""Speed of whole runs, acting and learning together: `python -m experiments.bench.train [--device cuda] [--quick]`.

Short runs of a preset at its own replay ratio, in turn: acting and learning one after the other (`local`) and at
once (`threads`), with bfloat16 where the device supports it, on a GPU also with CUDA graphs and half vectors;
and the environments alone with random actions, an upper bound. Writes train.json and train.md to --out, on a GPU
train_gpu.*.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.bench.machine import device_name, headline, machine, usable_device
from experiments.bench.timing import Measure
from experiments.bench.whole_runs import rates
from experiments.cluster.faults import changed
from r2d2.agent.precision import has_bfloat16
from r2d2.build import environments
from r2d2.config import Config
from r2d2.config.presets import PRESETS

ALONE = "environments alone"
COMMON: dict[str, Any] = {
    "run.track": "none",
    "run.evaluate_period": 0,
    "run.video_period": 0,
    "run.checkpoint_period": 10**9,
    "replay.steps": 400_000,
}
THREADS = {"run.runtime": "threads"}
BFLOAT16 = {"learner.precision": "bfloat16", "actor.precision": "bfloat16"}


def variants(device: torch.device) -> dict[str, dict[str, Any]]:
    """Names of the runs that are compared on a device, and what each changes."""
    found: dict[str, dict[str, Any]] = {"local": {}, "threads": THREADS}
    if has_bfloat16(device):
        found["local, bfloat16"] = BFLOAT16
    if device.type == "cuda":
        fast = THREADS | BFLOAT16 | {"learner.graphs": True}
        found |= {
            "threads, bfloat16, graphs": fast,
            "threads, bfloat16, graphs, halves": fast | {"actor.halves": True},
        }
    return found


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    preset: str
    environments: int
    min_steps: int  # before learning starts
    log_period: int  # steps between the moments at which a run can be timed and stopped
    seconds: float  # of learning in each run
    repeats: int


CPU = Sizes("r2d2-small", 32, min_steps=4_000, log_period=1_000, seconds=30.0, repeats=3)
GPU = Sizes("r2d2", 256, min_steps=50_000, log_period=20_000, seconds=20.0, repeats=3)
QUICK = Sizes("r2d2-small", 4, min_steps=200, log_period=60, seconds=1.0, repeats=1)


def job(sizes: Sizes, env: str, device: torch.device) -> Config:
    """The run that all variants change."""
    return changed(PRESETS[sizes.preset], COMMON | {
        "env.id": env, "env.num_envs": sizes.environments, "replay.min_steps": sizes.min_steps,
        "run.log_period": sizes.log_period, "run.device": str(device),
    })  # fmt: skip


def alone(config: Config, seconds: float) -> float:
    """Steps/s of the environments alone with random actions, on all cores."""
    played = environments.vector(config)
    rng = np.random.default_rng(0)
    played.reset(0)
    steps, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        played.step(rng.integers(played.spec.num_actions, size=played.num_envs))
        steps += played.num_envs
    rate = steps / (time.monotonic() - began)
    played.close()
    return rate


def measure(config: Config, changes: dict[str, dict[str, Any]], sizes: Sizes) -> list[dict[str, Any]]:
    """Rounds of the environments alone and of each variant in turn; rows with medians over the rounds."""
    speeds: dict[str, list[float]] = {name: [] for name in (ALONE, *changes)}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in changes}
    for _ in range(sizes.repeats):
        speeds[ALONE].append(alone(config, min(5.0, sizes.seconds)))
        for name, change in changes.items():
            found[name].append(rates(changed(config, change), sizes.seconds))
            speeds[name].append(found[name][-1]["steps_per_second"])
    rows = []
    for name, values in speeds.items():
        share = [a / b for a, b in zip(values, speeds[ALONE], strict=True)]
        others = ("updates_per_second", "replay_ratio") if name in found else ()
        rows.append(
            {"variant": name, "steps_per_second": Measure("steps/s", values).summary()}
            | {"of_environments_alone": Measure("1", share).summary()}
            | {key: float(np.median([one[key] for one in found[name]])) for key in others}
        )
    return rows


def table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    sizes = report["sizes"]
    lines = [
        headline(report["machine"], report["device"]),
        "",
        f"Preset `{sizes['preset']}`, {report['env']}, {sizes['environments']} environments, replay ratio "
        f"{report['ratio']:g}; {sizes['seconds']:g} s of each run once it learns, median of {sizes['repeats']}.",
        "",
        "| | steps/s (least to most) | of the environments alone | updates/s | replay ratio |",
        "|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        speed, share = row["steps_per_second"], row["of_environments_alone"]["median"]
        updates = f"{row['updates_per_second']:.3g}" if "updates_per_second" in row else ""
        ratio = f"{row['replay_ratio']:.3g}" if "replay_ratio" in row else ""
        lines.append(
            f"| {row['variant']} | {speed['median']:,.0f} ({speed['min']:,.0f} to {speed['max']:,.0f}) "
            f"| {share:.0%} | {updates} | {ratio} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    device: torch.device = options.device
    gpu = device.type == "cuda"
    sizes = QUICK if options.quick else GPU if gpu else CPU
    given = {name: getattr(options, name) for name in vars(sizes) if getattr(options, name, None) is not None}
    sizes = Sizes(**vars(sizes) | given)
    config = job(sizes, options.env, device)
    report: dict[str, Any] = {
        "machine": machine(),
        "device": device_name(device),
        "env": options.env,
        "ratio": config.replay.replay_ratio,
        "sizes": vars(sizes),
        "rows": measure(config, variants(device), sizes),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    name = "train_gpu" if gpu else "train"
    (options.out / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    (options.out / f"{name}.md").write_text(table(report))
    print(table(report))
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.bench.train",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--device", type=usable_device, default="cpu", help="cpu or cuda")
    parser.add_argument("--env", default="ALE/Pong-v5", metavar="ID")
    parser.add_argument(
        "--preset", choices=sorted(PRESETS), help="default: r2d2-small on a CPU, r2d2 on a GPU"
    )
    parser.add_argument("--environments", type=int, help="default: 32 on a CPU, 256 on a GPU", metavar="N")
    parser.add_argument(
        "--seconds", type=float, help="of learning in each run: 30, or 20 on a GPU", metavar="S"
    )
    parser.add_argument("--repeats", type=int, help="rounds, default 3", metavar="N")
    parser.add_argument("--quick", action="store_true", help="tiny sizes that only show that it runs")
    parser.add_argument(
        "--out", type=Path, default=Path("experiments/results/bench_learner"), metavar="FOLDER"
    )
    options = parser.parse_args(arguments)
    for name in ("environments", "seconds", "repeats"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            parser.error(f"--{name} must be above 0, got {value}")
    return options


if __name__ == "__main__":
    sys.exit(main())
