"""The cluster runtime measured, and a sizing table computed from what was measured.

    python -m experiments.bench.cluster --out experiments/results/cluster [--preset r2d2-small] [--seconds 20]

    acting     environment steps/s against the number of actor processes, nobody learning; bytes a step sent
    overhead   the same job in all runtimes, one after the other, with the learner's shares
    shard      recorded packets replayed as those of 256 actors: the rate of one shard, by itself and through Ray
    sizing     from these rates: what up to 256 actors provide and need

Absolute figures are those of one machine; what counts are ratios within one run. Writes bench.json and bench.md.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from experiments.bench.cluster_shard import NEVER, PAPER_ACTORS, shard
from experiments.bench.machine import machine
from experiments.bench.whole_runs import rates
from experiments.cluster.faults import changed
from r2d2.config import Config
from r2d2.config.presets import PRESETS, preset
from r2d2.runtime.cluster import ray_environment

SIZES = (1, 4, 16, 64, PAPER_ACTORS)
COMMON: dict[str, Any] = {
    "run.runtime": "cluster", "run.track": "none", "run.evaluate_period": 0, "run.video_period": 0,
    "run.threads": 1, "run.probe_items": 0, "cluster.actor_cpus": 0.25, "cluster.shard_cpus": 0.25,
    "cluster.learner_cpus": 0.25,
}  # fmt: skip
# With the CPU threads of the networks: in `cluster` the learner's, in `threads` for acting and learning together.
RUNTIMES = (("local", 1), ("local", 2), ("threads", 2), ("cluster", 1))


# -- acting ------------------------------------------------------------------------------------------------


def acting(config: Config, actors: int, seconds: float) -> dict[str, float]:
    """Steps/s of `actors` processes that share the environments, after a warm-up."""
    from r2d2.runtime.cluster.ray_fleet import RayFleet

    config = changed(config, {"cluster.actors": actors, "replay.min_steps": NEVER})
    with TemporaryDirectory() as folder:
        fleet = RayFleet(config, Path(folder), None, None)

        def every(method: str, *arguments: Any) -> list[Any]:
            tickets = [fleet.call("actor", i, method, *arguments) for i in range(actors)]
            results: dict[Any, Any] = {}
            while len(results) < actors:
                results |= dict(fleet.wait(1.0))
            return [results[ticket] for ticket in tickets]

        def status() -> Any:
            fleet.call("shard", 0, "status")
            while not (got := fleet.wait(1.0)):
                pass
            return got[0][1]

        every("run", 2.0)
        status()  # waits for the first packets, for which code is compiled
        before = every("run", 2.0)
        began = time.monotonic()
        after = every("run", seconds)
        took = time.monotonic() - began
        found = status()
        fleet.close()
    steps = sum(b.steps for b in after) - sum(a.steps for a in before)
    return {
        "actors": actors,
        "steps_per_second": steps / took,
        "bytes_per_step": found["packet_bytes"] / found["packet_steps"],
        "waiting_share": sum(b.waited for b in after) / sum(b.seconds for b in after),
    }


# -- overhead ----------------------------------------------------------------------------------------------


def job_of(name: str, steps: int) -> Config:
    """A job on which the runtimes are compared, with one actor."""
    return changed(preset(name), COMMON | {
        "run.steps": steps, "run.log_period": max(100, steps // 20), "run.checkpoint_period": 10**9,
        "cluster.actors": 1, "cluster.packet": 4, "replay.min_steps": min(2000, steps // 4),
    })  # fmt: skip


def overhead(config: Config) -> list[dict[str, Any]]:
    """The same job in all runtimes."""
    return [
        {"runtime": runtime, "threads": count}
        | rates(changed(config, {"run.runtime": runtime, "run.threads": count}))
        for runtime, count in RUNTIMES
    ]


# -- sizing ------------------------------------------------------------------------------------------------


def sizing(config: Config, report: Mapping[str, Any]) -> list[dict[str, float]]:
    """What numbers of actors provide and need, from the measured rates of one actor process and one shard."""
    alone = next(row for row in report["acting"] if row["actors"] == 1)
    taken = min(row["steps_per_second"] for row in report["shard"])
    trained = config.learner.batch * config.replay.unroll
    return [
        {
            "actors": actors,
            "steps_per_second": actors * alone["steps_per_second"],
            "megabytes_per_second": actors * alone["steps_per_second"] * alone["bytes_per_step"] / 1e6,
            "shards": math.ceil(actors * alone["steps_per_second"] / taken),
            "updates_per_second": actors * alone["steps_per_second"] * config.replay.replay_ratio / trained,
        }
        for actors in SIZES
    ]


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table; numbers with three significant digits."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    shown = [[_shown(row.get(name, "")) for name in names] for row in rows]
    heads = [name.replace("_", " ") for name in names]
    return "\n".join("| " + " | ".join(line) + " |" for line in (heads, ["---"] * len(names), *shown))


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", default="r2d2-small", choices=sorted(PRESETS))
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each number of actors")
    parser.add_argument(
        "--steps", type=int, default=30_000, help="of the job in all runtimes (preset memory+lstm-stored)"
    )
    parser.add_argument("--steps-pixels", type=int, default=12_000, help="the same, of --preset")
    parser.add_argument("--packets", type=int, default=20, help="that each of the 256 actors sends")
    options = parser.parse_args(arguments)
    ray_environment.prepare("")
    from r2d2.runtime.cluster.ray_fleet import connect

    config = changed(PRESETS[options.preset], COMMON)
    connect(changed(config, {"cluster.actors": max(options.actors)}))
    report: dict[str, Any] = {"machine": machine(), "preset": options.preset}
    report["acting"] = [acting(config, n, options.seconds) for n in options.actors]
    jobs = (("memory+lstm-stored", options.steps), (options.preset, options.steps_pixels))
    report["overhead"] = [
        {"job": name} | row for name, steps in jobs for row in overhead(job_of(name, steps))
    ]
    report["shard"] = shard(config, options.packets)
    report["sizing"] = sizing(config, report)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench.json").write_text(json.dumps(report, indent=1) + "\n")
    parts = ("acting", "overhead", "shard", "sizing")
    text = "\n\n".join(f"## {part}\n\n{table(report[part])}" for part in parts)
    (options.out / "bench.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
