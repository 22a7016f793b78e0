"""Steps per second of each environment without a network, with random actions or a constant one.

    python -m experiments.bench.environments [--envs 64] [--seconds 1] [--action A] [--out FILE.json] [ID ...]

With random actions an episode of Recall lasts two steps, so that drawing new ones is most of the work; action 0
keeps it going to its question.

The environments run in turn, so that noise affects all alike; medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from experiments.bench.machine import machine
from experiments.bench.timing import Measure
from r2d2.envs.make import make
from r2d2.envs.vector import VectorEnv

IDS = ("Recall-v0", "Copy-v0", "Repeat-v0", "TMaze-v0", "MaskedCartPole-v0", "BitFlipping-v0", "ALE/Pong-v5")
ROUNDS = 5
PREPARED = 256  # steps whose actions are drawn beforehand


def steps_per_second(env: VectorEnv, actions: np.ndarray, seconds: float) -> float:
    """Environment steps of all slots together; `actions` [PREPARED, N] are repeated."""
    start, count = time.perf_counter(), 0
    while time.perf_counter() < start + seconds:
        env.step(actions[count % len(actions)])
        count += 1
    return count * env.num_envs / (time.perf_counter() - start)


def main(arguments: list[str] | None = None) -> dict[str, dict[str, float | int | str]]:
    """Measures, prints, and returns the summaries by id."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ids", nargs="*", metavar="ID", default=IDS)
    parser.add_argument("--envs", type=int, default=64, help="slots of the vector (default 64)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each round and environment")
    parser.add_argument("--action", type=int, help="this action in every step; default is random ones")
    parser.add_argument("--out", type=Path, help="also write the figures and the machine to this file")
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(0)
    made = {}
    for name in options.ids:
        env = make(name, options.envs)
        env.reset(0)
        actions = rng.integers(env.spec.num_actions, size=(PREPARED, options.envs))
        if options.action is not None:
            if not 0 <= options.action < env.spec.num_actions:
                parser.error(
                    f"--action must be in [0, {env.spec.num_actions - 1}] for {name}, got {options.action}"
                )
            actions[:] = options.action
        made[name] = env, actions
    samples: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(ROUNDS):
        for name, (env, actions) in made.items():
            samples[name].append(steps_per_second(env, actions, options.seconds / ROUNDS))
    found = {name: Measure("steps/s", values).summary() for name, values in samples.items()}
    for name, row in found.items():
        print(f"{name:20} {row['median']:>12,.0f} steps/s ({row['min']:,.0f} to {row['max']:,.0f})")
    if options.out is not None:
        options.out.write_text(
            json.dumps(
                {"machine": machine(), "envs": options.envs, "action": options.action} | found, indent=1
            )
            + "\n"
        )
    return found


if __name__ == "__main__":
    main()
