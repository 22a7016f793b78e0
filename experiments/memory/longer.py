"""Longer than trained: `python -m experiments.memory.longer RUN_DIR ... [--out FILE]`.

Plays finished runs of MemoryChain greedily at the same, twice and four times the length they were trained with.
Linear recurrences are said not to carry over to longer horizons, since they are monostable (arXiv 2605.12206). The
share of time left, which MemoryChain shows, goes from 1 to 0 at every length.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.study import write_csv
from r2d2.build import environments
from r2d2.runtime.evaluation import load_trained
from r2d2.runtime.greedy import make_greedy, play

TIMES = (1, 2, 4)
EPISODES, SEED = 64, 2_000_000  # far from the seeds of training and evaluations


def rows(run_dir: Path) -> list[dict[str, Any]]:
    """The mean return of a run's network at each multiple of its length."""
    config, vector, network, _ = load_trained(run_dir, None, 1)
    vector.close()
    length = config.env.options.get("length")
    if config.env.id != "MemoryChain-v0" or not isinstance(length, int):
        raise ValueError(f"{run_dir} must be a run of MemoryChain-v0 with a length, got {config.env.id}")
    found = []
    for times in TIMES:
        env = replace(config.env, options={**config.env.options, "length": times * length})
        with closing(environments.vector(replace(config, env=env), EPISODES)) as longer:
            mean = float(np.mean([episode.total for episode in play(make_greedy(longer, network), SEED)]))
        head = {"core": config.network.core, "trained": length, "seed": config.run.seed}
        found.append(head | {"played": times * length, "score": mean})
    return found


def main(arguments: list[str] | None = None) -> int:
    """Returns 0."""
    parser = argparse.ArgumentParser(
        prog="experiments.memory.longer", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN_DIR")
    parser.add_argument("--out", type=Path, help="a CSV file")
    options = parser.parse_args(arguments)
    found = [row for run in options.runs for row in rows(run)]
    for row in found:
        print(*(f"{name} {value:g}" if name != "core" else value for name, value in row.items()))
    if options.out is not None:
        write_csv(found, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
