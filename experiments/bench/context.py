"""A frozen context beside a learned one: `python -m experiments.bench.context [--quick]`.

On Pong with the network of `r2d2-small`: one update, the same with its batch read from the replay, and one acting
step of 32 environments, for its own shapes and for longer burn-ins. Both contexts take turns in one process, and
what is measured is processor time, which other programs on the machine disturb less than the wall clock. Writes
context.json and context.md to --out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from experiments.bench.machine import headline, machine
from experiments.bench.timing import Measure, in_turns
from r2d2.config import Config
from r2d2.config.presets import preset
from r2d2.runtime.profile import Workbench

CONTEXTS = ("learned", "frozen")
SHAPES = ((10, 20, 5), (40, 20, 5), (40, 10, 5))  # burn_in, unroll, n_step; the first are r2d2-small's
REPEATS = 40


def config(context: str, shape: tuple[int, int, int], *, quick: bool) -> Config:
    burn_in, unroll, n_step = shape
    made = preset("r2d2-small")
    replay_ = replace(made.replay, burn_in=burn_in, unroll=unroll, n_step=n_step, period=min(10, unroll))
    return replace(
        made,
        env=replace(made.env, id="ALE/Pong-v5", num_envs=2 if quick else 32),
        network=replace(made.network, context=context),  # type: ignore[arg-type]
        replay=replay_,
        learner=replace(made.learner, batch=2 if quick else 16),
        run=replace(made.run, device="cpu", threads=torch.get_num_threads()),
    )


def calls(bench: Workbench) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    batch = bench.sample()

    def read_and_update() -> None:
        bench.learner.update(bench.sample())

    return {
        "update": lambda: bench.learner.update(batch),
        "update, batch read": read_and_update,
        "acting step": bench.act,
    }


def measured(shape: tuple[int, int, int], repeats: int, *, quick: bool) -> dict[str, Measure]:
    """Seconds of processor time, by what is timed and context, and frozen over learned, round by round."""
    timed: dict[str, Callable[[], object]] = {}
    for context in CONTEXTS:
        bench = Workbench(config(context, shape, quick=quick))
        timed |= {f"{name}, {context}": call for name, call in calls(bench).items()}
    found = in_turns(timed, repeats, clock=time.process_time)
    for name in calls(bench):
        learned, frozen = (found[f"{name}, {context}"].samples for context in CONTEXTS)
        found[f"{name}, ratio"] = Measure("x", [b / a for a, b in zip(learned, frozen, strict=True)])
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.bench.context", description=__doc__)
    parser.add_argument("--threads", type=int, default=2, help="of the networks")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="timed rounds")
    parser.add_argument("--quick", action="store_true", help="tiny sizes that only show that it runs")
    parser.add_argument(
        "--out", type=Path, default=Path("experiments/results/bench_learner"), metavar="FOLDER"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    report: dict[str, Any] = {"machine": machine(), "threads": options.threads, "shapes": {}}
    options.out.mkdir(parents=True, exist_ok=True)
    for shape in SHAPES[:1] if options.quick else SHAPES:
        found = measured(shape, 1 if options.quick else options.repeats, quick=options.quick)
        report["shapes"]["+".join(map(str, shape))] = {n: m.summary() for n, m in found.items()}
        (options.out / "context.json").write_text(json.dumps(report, indent=1) + "\n")
        (options.out / "context.md").write_text(table(report))
    print(table(report))
    return 0


def table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = [
        headline(report["machine"], "cpu", f"{report['threads']} threads"),
        "",
        "Milliseconds of processor time, median (least), with the network of `r2d2-small` on Pong; a batch has 16 "
        "items of burn-in + trained + lookahead steps, an acting step 32 environments. Ratios are frozen over "
        "learned: the median of the rounds, and the least of one over the least of the other.",
        "",
        "| steps | what | learned | frozen | ratio, median | ratio, least |",
        "|---|---|---|---|---|---|",
    ]
    for shape, found in report["shapes"].items():
        for name in (name.removesuffix(", ratio") for name in found if name.endswith(", ratio")):
            learned, frozen = (found[f"{name}, {context}"] for context in CONTEXTS)
            times = " | ".join(f"{1e3 * t['median']:.1f} ({1e3 * t['min']:.1f})" for t in (learned, frozen))
            ratio, least = found[f"{name}, ratio"]["median"], frozen["min"] / learned["min"]
            lines.append(f"| {shape.replace('+', ' + ')} | {name} | {times} | {ratio:.2f} | {least:.2f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
