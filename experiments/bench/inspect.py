"""How long `r2d2 inspect` takes for a large replay: opening it, sorting, opening items, and the memory for it.

    python -m experiments.bench.inspect [--preset memory] [--steps 4000000] [--folder DIR]

Makes a run folder whose replay is filled with random steps of Recall; nothing is trained. An existing folder is
reused.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from r2d2.config import Config
from r2d2.config.presets import preset
from r2d2.runtime.local import LocalRun
from r2d2.runtime.training import start_filled
from r2d2.types import Column
from r2d2.viewer.page import page

STREAMS = 512  # environments; many, so that few calls fill the replay
LENGTH = 50  # actions of an episode


def config(name: str, steps: int) -> Config:
    base = preset(name)
    return replace(
        base,
        env=replace(base.env, id="Recall-v0", num_envs=STREAMS),
        network=replace(base.network, stack=1),
        replay=replace(base.replay, steps=steps),
        run=replace(base.run, track="none"),
    )


def fill(run: LocalRun) -> Mapping[str, Any]:
    """Random episodes until the replay is full."""
    rng, streams = np.random.default_rng(0), np.arange(STREAMS)
    columns, core_size = run.replay.columns, run.learner.network.core_size
    for step in range(run.config.replay.steps // STREAMS):
        at = step % (LENGTH + 1)
        values = {name: _random(rng, column) for name, column in columns.items()}
        values["previous_action"][:] = at > 0
        values["terminated"][:] = at == LENGTH - 1
        values["truncated"][:] = False
        core = rng.normal(size=(STREAMS, core_size)).astype(np.float32)
        ids = run.replay.write(values, np.full(STREAMS, at == LENGTH), streams=streams, core=core)
        if len(ids):
            run.ages.insert(ids, updates=step, actor_updates=step)
            run.replay.update_priorities(ids, rng.exponential(size=len(ids)))
    return {}


def _random(rng: np.random.Generator, column: Column) -> NDArray[Any]:
    """Two actions, small numbers."""
    values = rng.random((STREAMS, *column.shape), np.float32)
    return (2 * values if column.numpy_dtype.kind == "i" else values).astype(column.numpy_dtype)


def measure(run_dir: Path) -> dict[str, float]:
    """CPU seconds of what a user waits for, and the process's memory after it in GB."""
    from r2d2.viewer.contents import Contents
    from r2d2.viewer.server import Viewer

    found: dict[str, float] = {}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        started = time.process_time()
        result = call()
        found[name] = round(time.process_time() - started, 2)
        found[f"{name}_gb"] = round(psutil.Process().memory_info().rss / 1e9, 2)
        return result

    contents = timed("open", lambda: Contents(run_dir))
    found["items"] = len(timed("index", lambda: contents.items))
    viewer = timed("page", lambda: Viewer(contents))
    answer = timed("sort", lambda: viewer.answer("items?sort=return&order=ascending"))
    timed("sort_again", lambda: viewer.answer("items?sort=priority&order=descending"))
    first = json.loads(answer[2])[0]["id"]
    timed("item", lambda: viewer.answer(f"item?id={first}"))
    timed("export", lambda: page(contents, live=False, items=24))
    viewer.server.server_close()
    return found


def main() -> None:
    """Make the run if it does not exist, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--preset", default="memory", help="of the run (default memory)")
    parser.add_argument("--steps", type=int, default=4_000_000, help="that the replay holds")
    parser.add_argument("--folder", type=Path, default=Path("runs/bench-inspect"), help="of the run")
    options = parser.parse_args()
    if not options.folder.exists():
        start_filled(config(options.preset, options.steps), options.folder, preset=options.preset, fill=fill)
    print(json.dumps(measure(options.folder), indent=1))


if __name__ == "__main__":
    main()
