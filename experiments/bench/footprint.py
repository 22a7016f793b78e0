"""The memory of the paper's replay, game by game, and of an item beside its steps."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np

from experiments.bench import ours
from experiments.bench.frames import SIDE, load_feed
from experiments.bench.sequences import fill
from experiments.bench.sizes import Sizes
from experiments.bench.timing import Measure, one

Measures = dict[str, Measure]


def footprint(subject: ModuleType, sizes: Sizes, variant: str, cache: Path) -> Measures:
    """Bytes of full blocks for each game, scaled to the paper's steps, and the same for everything else."""
    measures: Measures = {}
    frames = []
    for game in sizes.games:
        feed = load_feed(cache, sizes, game)
        n = feed.frames.shape[1]
        one_game = Sizes(streams=n, core=1, batch=1)
        subject_replay = ours.sequences(one_game, variant, (SIDE, SIDE), feed.frames.shape[0] * n)
        fill(subject_replay, feed, feed.frames.shape[0] * n, 0)
        frames.append(subject_replay.replay.storage.row_nbytes["observation"] * sizes.paper)
        measures[f"frames_{game}"] = one("bytes", frames[-1])
    rest = _rest(sizes)
    other = rest["core_states"] + rest["small_columns"] + rest["index"]
    totals = {
        "frames_mean": float(np.mean(frames)),
        "frames_worst": float(np.max(frames)),
        "all_mean": float(np.mean(frames)) + other,
        "all_worst": float(np.max(frames)) + other,
    }
    return measures | {name: one("bytes", value) for name, value in (rest | totals).items()}


def _rest(sizes: Sizes) -> dict[str, float]:
    """Bytes of everything but frames in a replay of the paper's size, from an empty one (pages untouched)."""
    replay = ours.build(sizes, "raw", (1,), streams=sizes.streams, held=sizes.paper)
    storage = replay.storage
    frames = storage.nbytes["observation"]
    cores = replay.capacity * sizes.core * 4
    columns = sum(storage.nbytes.values()) - frames
    index = replay.nbytes - frames - columns - cores
    return {
        "core_states": cores,
        "small_columns": columns,
        "index": index,
        "index_per_item": index / replay.capacity,
    }
