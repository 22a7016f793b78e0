"""Save, incremental save and restore of a replay of the paper's size, through `r2d2.checkpoint.checkpoint`."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from types import ModuleType

import numpy as np

from experiments.bench import ours
from experiments.bench.frames import SIDE, load_feed
from experiments.bench.sequences import fill
from experiments.bench.sizes import Sizes
from experiments.bench.timing import Measure, one
from r2d2.checkpoint import checkpoint

Measures = dict[str, Measure]
NEW = 100  # the incremental save follows paper / NEW more steps; ours


def persistence(subject: ModuleType, sizes: Sizes, variant: str, cache: Path) -> Measures:
    """Seconds on the disk that holds the cache; the restored replay must draw the same batch."""
    feed = load_feed(cache, sizes)
    first = ours.sequences(sizes, variant, (SIDE, SIDE), sizes.paper)
    t = fill(first, feed, sizes.paper, 0)
    root = Path(tempfile.mkdtemp(prefix="save-", dir=cache))
    try:
        saves, parent, times = {}, None, []
        for number, name in enumerate(("save", "incremental"), 1):
            start = time.perf_counter()
            parent = checkpoint.save(
                root, {"replay": first.replay.state_dict()}, number=number, parent=parent
            )
            saves[name] = one("s", time.perf_counter() - start)
            times.append(sum(file.stat().st_size for file in root.rglob("*") if file.is_file()))
            if name == "save":
                t = fill(first, feed, t * sizes.streams + sizes.paper // NEW, t)
        second = ours.sequences(sizes, variant, (SIDE, SIDE), sizes.paper)
        start = time.perf_counter()
        second.replay.load_state_dict(checkpoint.load(root)["replay"])
        saves["restore"] = one("s", time.perf_counter() - start)
        same = _same(first, second)
    finally:
        shutil.rmtree(root)
    if not same:
        raise RuntimeError("the restored replay drew another batch than the one that was saved")
    return saves | {"bytes_on_disk": one("bytes", times[0]), "bytes_more": one("bytes", times[1] - times[0])}


def _same(first: ours.OurSequences, second: ours.OurSequences) -> bool:
    a, b = (one_.replay.sample(16, np.random.default_rng(5)) for one_ in (first, second))
    return all(np.array_equal(a.columns[name], b.columns[name]) for name in a.columns)
