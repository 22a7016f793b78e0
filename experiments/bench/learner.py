"""Speed of one update and one acting step: `python -m experiments.bench.learner [--device cuda] [--quick]`.

One update of 16 x (40 + 80 + 5) steps (64 on a GPU) with the paper's network, in turn with the same update in
plain PyTorch and with an LSTMCell loop as in public R2D2s (`learner_rivals.py`); one acting step of 64
environments in turn with ALE alone. Writes results.json and table.md to --out.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box

from experiments.bench.learner_rivals import PlainLearner, Recurrence
from experiments.bench.machine import device_name, headline, machine, usable_device
from experiments.bench.timing import Measure, in_turns
from r2d2.agent.precision import has_bfloat16
from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.config import Config, LearnerConfig, ReplayConfig
from r2d2.config.presets import R2D2, R2D2_SMALL
from r2d2.envs.observations import parts_of
from r2d2.envs.vector import EnvSpec
from r2d2.runtime.roofline import measure_rates, row_operations, update_operations, wait
from r2d2.types import Batch

ACTIONS = 18
PAPER = (84, 84)
ATARI = EnvSpec("ALE", parts_of(Box(0, 255, PAPER, np.uint8), "ALE"), ACTIONS, None)


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    batch: int
    burn_in: int
    unroll: int
    n_step: int
    environments: int
    acting_steps: int  # in one timing
    repeats: int


CPU = Sizes(batch=16, burn_in=40, unroll=80, n_step=5, environments=64, acting_steps=20, repeats=9)
GPU = replace(CPU, batch=64, repeats=30)
QUICK = Sizes(batch=2, burn_in=2, unroll=3, n_step=1, environments=2, acting_steps=2, repeats=1)


def made_up_batch(sizes: Sizes, seed: int = 0) -> Batch:
    """Whole items of noise: the time of an update does not depend on its data."""
    rng = np.random.default_rng(seed)
    b, rows = sizes.batch, sizes.burn_in + sizes.unroll + sizes.n_step
    columns = {
        "observation": rng.integers(0, 256, (b, rows + 3, *PAPER), np.uint8),
        "previous_action": rng.integers(0, ACTIONS + 1, (b, rows), np.int32),
        "previous_reward": rng.normal(size=(b, rows)).astype(np.float32),
        "action": rng.integers(0, ACTIONS, (b, rows), np.int32),
        "reward": rng.normal(size=(b, rows)).astype(np.float32),
        "terminated": np.zeros((b, rows), np.bool_),
    }
    full = np.ones(b, np.int64)
    return Batch(
        columns,
        core=0.1 * rng.normal(size=(b, 1024)).astype(np.float32),
        burn_in=sizes.burn_in * full,
        length=sizes.unroll * full,
        lookahead=sizes.n_step * full,
        ids=np.arange(b),
        probability=np.full(b, 1 / b),
        weight=np.ones(b, np.float32),
    )


def paper_config(sizes: Sizes, **learner: Any) -> Config:
    replay = ReplayConfig(burn_in=sizes.burn_in, unroll=sizes.unroll, n_step=sizes.n_step, period=1)
    return replace(R2D2, replay=replay, learner=LearnerConfig(batch=sizes.batch, **learner))


def updates(sizes: Sizes, device: torch.device) -> dict[str, Callable[[], object]]:
    """One update of each kind; on a GPU ours is read one update late, as in a run."""
    batch = made_up_batch(sizes)
    calls: dict[str, Callable[[], object]] = {}
    variants: dict[str, dict[str, Any]] = {"ours float32": {}}
    if has_bfloat16(device):
        variants["ours bfloat16"] = {"precision": "bfloat16"}
    if device.type == "cuda":
        variants |= {f"{name}, graph": v | {"graphs": True} for name, v in list(variants.items())}
    for name, changes in variants.items():
        config = paper_config(sizes, **changes)
        network = build.network(config, ATARI)
        calls[name] = _late(build.learner(config, network, device=device), batch)
    recurrences: dict[str, Recurrence] = {"plain PyTorch": "fused", "LSTMCell loop": "cell"}
    for name, recurrence in recurrences.items():
        rival = PlainLearner(
            ACTIONS,
            recurrence,
            burn_in=sizes.burn_in,
            unroll=sizes.unroll,
            n_step=sizes.n_step,
            device=device,
        )
        calls[name] = _done(rival.update, batch, device)
    return calls


def _late(learner: Any, batch: Batch) -> Callable[[], object]:
    """An update, followed by reading the previous one, as in a run."""
    before: list[Any] = []

    def call() -> None:
        before.append(learner.update(batch))
        if len(before) > learner.asynchronous:
            before.pop(0).metrics  # noqa: B018

    return call


def _done(update: Callable[[Batch], object], batch: Batch, device: torch.device) -> Callable[[], object]:
    def call() -> None:
        update(batch)
        wait(device)

    return call


def acting(sizes: Sizes, device: torch.device) -> dict[str, Callable[[], object]]:
    """Some steps of Pong: the emulators alone, and the actor with the small and the paper's network."""
    calls: dict[str, Callable[[], object]] = {}
    for name, preset in (("small", R2D2_SMALL), ("paper", R2D2)):
        config = replace(preset, env=replace(preset.env, num_envs=sizes.environments))
        alone = environments.vector(config)
        network = build.network(config, alone.spec)
        alone.reset(0)
        rng = np.random.default_rng(1)

        def emulate(alone: Any = alone, rng: Any = rng) -> None:
            for _ in range(sizes.acting_steps):
                alone.step(rng.integers(alone.spec.num_actions, size=alone.num_envs))

        calls[f"ALE alone, {name}"] = emulate
        for halves in (False, True):
            played = environments.vector(config, halves=halves)
            actor = build.actor(
                config, played, copy.deepcopy(network).to(device), rng=np.random.default_rng(0)
            )
            actor.reset(0)

            def act(actor: Any = actor) -> None:
                for _ in range(sizes.acting_steps):
                    actor.step()

            calls[f"actor{' in halves' if halves else ''}, {name}"] = act
    return calls


def floor(sizes: Sizes, device: torch.device, precision: torch.dtype) -> dict[str, float]:
    """Operations of an update, the rate of a matrix product, and the seconds that follow."""
    row = row_operations(build.network(paper_config(sizes), ATARI))
    total = sum(
        update_operations(
            row, items=sizes.batch, burn_in=sizes.burn_in, unroll=sizes.unroll, n_step=sizes.n_step
        ).values()
    )
    rate = measure_rates(device, precision).operations
    return {"operations": total, "operations_per_second": rate, "seconds": total / rate}


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    device: torch.device = options.device
    sizes = QUICK if options.quick else GPU if device.type == "cuda" else CPU
    if options.repeats:
        sizes = replace(sizes, repeats=options.repeats)
    if options.threads:
        torch.set_num_threads(options.threads)
    report: dict[str, Any] = {
        "machine": machine(),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "sizes": vars(sizes),
        "floor": {"float32": floor(sizes, device, torch.float32)},
    }
    if has_bfloat16(device):
        report["floor"]["bfloat16"] = floor(sizes, device, torch.bfloat16)
    measures = in_turns(updates(sizes, device), sizes.repeats) | in_turns(
        acting(sizes, device), sizes.repeats
    )
    report["measures"] = {name: measure.summary() for name, measure in measures.items()}
    report["ratios"] = ratios(measures)
    options.out.mkdir(parents=True, exist_ok=True)
    name = "results_gpu" if device.type == "cuda" else "results"
    (options.out / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    (options.out / f"{name}.md").write_text(table(report))
    print(table(report))
    return 0


def ratios(measures: dict[str, Measure]) -> dict[str, dict[str, float | int | str]]:
    """Ratios per round, so that noise affects both sides: rivals over ours, ALE alone over the actor."""
    found = {}
    ours = [name for name in measures if name.startswith("ours")]
    pairs = [(rival, name) for rival in ("plain PyTorch", "LSTMCell loop") for name in ours]
    for actor in (name for name in measures if name.startswith("actor")):
        pairs.append((f"ALE alone, {actor.split(', ')[1]}", actor))
    for a, b in pairs:
        values = [x / y for x, y in zip(measures[a].samples, measures[b].samples, strict=True)]
        found[f"{a} / {b}"] = Measure("x", values).summary()
    return found


def table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    sizes = report["sizes"]
    lines = [
        headline(report["machine"], report["device"], f"{report['threads']} threads"),
        "",
        f"An update: {sizes['batch']} x ({sizes['burn_in']} + {sizes['unroll']} + {sizes['n_step']}) steps, the "
        f"paper's network. A call of acting: {sizes['acting_steps']} steps of {sizes['environments']} "
        "environments, Pong.",
        "",
        "| seconds | median | least | most |",
        "|---|---|---|---|",
    ]
    for name, found in report["measures"].items():
        lines.append(f"| {name} | {found['median']:.4g} | {found['min']:.4g} | {found['max']:.4g} |")
    for precision, found in report["floor"].items():
        rate = found["operations_per_second"] / 1e9
        lines.append(
            f"| floor {precision}: {found['operations'] / 1e9:.1f} G operations at {rate:.0f} G/s "
            f"| {found['seconds']:.4g} | | |"
        )
    lines += ["", "| ratio, round by round | median | least | most |", "|---|---|---|---|"]
    for name, found in report["ratios"].items():
        lines.append(f"| {name} | {found['median']:.2f} | {found['min']:.2f} | {found['max']:.2f} |")
    return "\n".join(lines) + "\n"


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.bench.learner",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--device", type=usable_device, default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=0, help="of the networks; 0: one for each core")
    parser.add_argument("--repeats", type=int, default=0, help="timed rounds; 0: as many as the device needs")
    parser.add_argument("--quick", action="store_true", help="tiny sizes that only show that it runs")
    parser.add_argument(
        "--out", type=Path, default=Path("experiments/results/bench_learner"), metavar="FOLDER"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
