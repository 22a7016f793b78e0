"""Speed of one update with each core: `python -m experiments.bench.cores [--quick]`.

The paper's 16 x (40 + 80 + 5) steps, and 8 whole episodes of 1,000 steps, of vectors, with 32 and 512 units. Cores
take turns, and what is counted is the CPU time of one thread, so that other programs on the machine matter less.
Writes cores.json and cores.md into --out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box

from experiments.bench.machine import headline, machine
from experiments.bench.timing import WARM_UP, Measure
from r2d2.agent.cores import state_size
from r2d2.build import agents as build
from r2d2.config import Config
from r2d2.config.parts import CORES
from r2d2.config.presets import preset
from r2d2.envs.observations import parts_of
from r2d2.envs.vector import EnvSpec
from r2d2.types import Batch

INPUTS, ACTIONS = 16, 4
SPEC = EnvSpec("vectors", parts_of(Box(-1, 1, (INPUTS,), np.float32), "vectors"), ACTIONS, None)
BASE = "lstm"


@dataclass(frozen=True)
class Sizes:
    """What an update is given."""

    batch: int
    burn_in: int
    unroll: int
    units: int
    n_step: int = 5

    def __str__(self) -> str:
        return f"{self.batch} x ({self.burn_in} + {self.unroll} + {self.n_step}) steps, {self.units} units"


PAPER, LONG = Sizes(16, 40, 80, 32), Sizes(8, 0, 1000, 32)
FULL = (PAPER, replace(PAPER, units=512), LONG)
QUICK = (Sizes(2, 2, 3, 4, n_step=1),)


def config_of(core: str, sizes: Sizes) -> Config:
    """The preset `memory` with that core and those lengths."""
    base = preset("memory+stored")
    network = replace(base.network, core=core, core_width=sizes.units)
    replay = replace(
        base.replay, burn_in=sizes.burn_in, unroll=sizes.unroll, n_step=sizes.n_step, period=sizes.unroll
    )
    return replace(base, network=network, replay=replay)


def batch_of(core: str, sizes: Sizes) -> Batch:
    """Whole items of noise."""
    rng = np.random.default_rng(0)
    b, rows = sizes.batch, sizes.burn_in + sizes.unroll + sizes.n_step
    full = np.ones(b, np.int64)
    return Batch(
        {
            "observation": rng.normal(size=(b, rows, INPUTS)).astype(np.float32),
            "previous_action": rng.integers(0, ACTIONS + 1, (b, rows), np.int32),
            "previous_reward": rng.normal(size=(b, rows)).astype(np.float32),
            "action": rng.integers(0, ACTIONS, (b, rows), np.int32),
            "reward": rng.normal(size=(b, rows)).astype(np.float32),
            "terminated": np.zeros((b, rows), np.bool_),
        },
        core=np.zeros((b, state_size(config_of(core, sizes).network)), np.float32),
        burn_in=sizes.burn_in * full,
        length=sizes.unroll * full,
        lookahead=sizes.n_step * full,
        ids=np.arange(b),
        probability=np.full(b, 1 / b),
        weight=np.ones(b, np.float32),
    )


def update_of(core: str, sizes: Sizes) -> Callable[[], object]:
    """A call that makes one update."""
    config, batch = config_of(core, sizes), batch_of(core, sizes)
    learner = build.learner(config, build.network(config, SPEC), device=torch.device("cpu"))
    return lambda: learner.update(batch)


def cpu_seconds(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, Measure]:
    """CPU seconds of each call, one of every name a round."""
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(WARM_UP + repeats):
        for name, call in calls.items():
            start = time.process_time()
            call()
            if round_ >= WARM_UP:
                samples[name].append(time.process_time() - start)
    return {name: Measure("s", values) for name, values in samples.items()}


def measured(sizes: Sizes, repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds of an update with each core, and how many times the LSTM's they are, medians over rounds."""
    found = cpu_seconds({core: update_of(core, sizes) for core in CORES}, repeats)
    base = np.array(found[BASE].samples)
    return {
        core: {
            "milliseconds": 1000 * float(np.median(measure.samples)),
            "times_lstm": float(np.median(np.array(measure.samples) / base)),
        }
        for core, measure in found.items()
    }


def table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = [
        headline(report["machine"], "1 thread"),
        "",
        "CPU milliseconds of an update (times the LSTM's).",
        "",
    ]
    lines += [f"| | {' | '.join(CORES)} |", "|---" * (1 + len(CORES)) + "|"]
    for name, found in report["updates"].items():
        cells = (f"{found[core]['milliseconds']:.3g} ({found[core]['times_lstm']:.2f})" for core in CORES)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Returns 0."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.bench.cores", description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--repeats", type=int, default=15, help="timed rounds")
    parser.add_argument("--quick", action="store_true", help="tiny sizes that only show that it runs")
    parser.add_argument("--out", type=Path, default=Path("experiments/results/bench"), metavar="FOLDER")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    sizes, repeats = (QUICK, 1) if options.quick else (FULL, options.repeats)
    report = {"machine": machine(), "updates": {str(size): measured(size, repeats) for size in sizes}}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "cores.json").write_text(json.dumps(report, indent=1) + "\n")
    (options.out / "cores.md").write_text(table(report))
    print(table(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
