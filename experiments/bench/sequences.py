"""Shapes A, D and E: batches of sequences, their growth, and a writer beside a reader."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import psutil

from experiments.bench.frames import SIDE, Feed, load_feed, small_feed
from experiments.bench.sizes import Sizes
from experiments.bench.subjects import Sequences
from experiments.bench.timing import Measure, in_turns, one, resident

Measures = dict[str, Measure]
GROUP = 40  # steps of every stream per insert sample: a whole period, so that all samples do the same work


def sequences(subject: ModuleType, sizes: Sizes, variant: str, cache: Path) -> Measures:
    """(A) Steady inserts, then batches of real frames in turn with the floors."""
    feed = load_feed(cache, sizes)
    shape = (SIDE, SIDE)
    before = resident()  # the library is imported; some replays allocate all their memory at construction
    replay = subject.sequences(sizes, variant, shape, sizes.held)
    t = fill(replay, feed, sizes.held, 0)
    grown = resident() - before
    inserts, t = steady_inserts(replay, feed, sizes, t)
    observation = replay.sample()
    measures = {
        "insert": inserts,
        "bytes_per_step": one("bytes", grown / sizes.held),
        "batch_bytes": one("bytes", _bytes(observation)),
    }
    copy, gather = floors(feed, sizes.batch, replay.frames)
    calls: dict[str, Callable[[], object]] = {
        "copy": copy,
        "gather": gather,
        "sample": replay.sample,
        "update": replay.update,
    }
    return measures | in_turns(calls, sizes.repeats)


def _bytes(array: Any) -> int:
    """Bytes of a numpy, torch or jax array, which must be computed, not pending."""
    return int(np.prod(array.shape)) * int(np.asarray(array.ravel()[:1]).itemsize)


def fill(replay: Sequences, feed: Feed, steps: int, t: int) -> int:
    """Insert from stream step t until `steps` steps of all streams are inserted; returns the next t."""
    while t * feed.frames.shape[1] < steps:
        replay.insert(replay.prepare(feed, t))
        t += replay.chunk
    return t


def steady_inserts(replay: Sequences, feed: Feed, sizes: Sizes, t: int) -> tuple[Measure, int]:
    """Steps per second into a full replay, one sample per GROUP; the caller's preparation is not counted."""
    samples = []
    for _ in range(max(3, sizes.held // (2 * GROUP * sizes.streams))):
        seconds, done = 0.0, 0
        while done < GROUP:
            prepared = replay.prepare(feed, t)
            start = time.perf_counter()
            replay.insert(prepared)
            seconds += time.perf_counter() - start
            t += replay.chunk
            done += replay.chunk
        samples.append(done * sizes.streams / seconds)
    return Measure("steps/s", samples), t


def floors(feed: Feed, batch: int, frames: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """Copy and gather as many frames as a batch holds, from uncached memory, into one array."""
    flat = feed.flat
    rng = np.random.default_rng(3)
    out = np.empty((batch * frames, *flat.shape[1:]), flat.dtype)

    def copy() -> None:
        start = int(rng.integers(len(flat) - len(out) + 1))
        np.copyto(out, flat[start : start + len(out)])

    def gather() -> None:
        starts = rng.integers(len(flat) - frames + 1, size=batch)
        rows = (starts[:, None] + np.arange(frames)).reshape(-1)
        flat.take(rows, axis=0, out=out, mode="clip")  # any other mode copies twice

    if len(out) > len(flat):
        raise ValueError(f"the recording has {len(flat)} frames but a batch needs {len(out)}: record more")
    return copy, gather


def growth(subject: ModuleType, sizes: Sizes, variant: str, cache: Path) -> Measures:
    """(D) Batch time after a write, against the steps held; variant 'small' has tiny observations.

    Sizes whose raw frames would take more than half of the free memory are left out.
    """
    small = variant == "small"
    feed = small_feed(sizes) if small else load_feed(cache, sizes)
    shape = feed.frames.shape[2:]
    raw_fits = psutil.virtual_memory().available // 2 // int(np.prod(shape))
    targets = [n for n in sizes.growth if variant in ("lz4", "zstd") or n <= raw_fits]
    replay = subject.sequences(sizes, "" if small else variant, shape, targets[-1])
    copy, gather = floors(feed, sizes.batch, replay.frames)
    measures: Measures = {}
    t, started = 0, time.perf_counter()
    for target in targets:
        t = fill(replay, feed, target, t)
        after_write: list[float] = []
        for _ in range(max(3, sizes.repeats // 4)):
            replay.insert(replay.prepare(feed, t))
            t += replay.chunk
            start = time.perf_counter()
            replay.sample()
            after_write.append(time.perf_counter() - start)
        calls: dict[str, Callable[[], object]] = {"copy": copy, "gather": gather, "sample": replay.sample}
        timed = in_turns(calls, max(3, sizes.repeats // 2))
        measures |= {f"{name}@{target}": measure for name, measure in timed.items()}
        measures[f"after_write@{target}"] = Measure("s", after_write)
        if time.perf_counter() - started > sizes.budget:
            break
    reached = [target for target in targets if f"sample@{target}" in measures]
    first, last = (np.median(measures[f"sample@{n}"].samples) for n in (reached[0], reached[-1]))
    return measures | {"growth": one("x", float(last / first)), "reached": one("steps", reached[-1])}


def threads(subject: ModuleType, sizes: Sizes, variant: str, cache: Path) -> Measures:
    """(E) A writer thread and a reader thread, each alone and both at once.

    Unless the library documents that this is safe, a lock is held around each call, as a user would.
    """
    feed = load_feed(cache, sizes)
    replay = subject.sequences(sizes, variant, (SIDE, SIDE), sizes.held)
    t = fill(replay, feed, sizes.held, 0)
    count = max(4, 2 * GROUP // replay.chunk) if replay.chunk == 1 else 4
    prepared = [replay.prepare(feed, t + i * replay.chunk) for i in range(count)]
    replay.insert(prepared[0])
    replay.sample()  # once each, as some compile on the first call
    lock: Any = _NoLock() if replay.thread_safe else threading.Lock()
    measures: Measures = {}
    for name, write, read in (("alone", True, False), ("alone", False, True), ("both", True, True)):
        steps, batches = _run_threads(replay, prepared, lock, sizes, write=write, read=read)
        if write:
            measures[f"writer_{name}"] = one("steps/s", steps)
        if read:
            measures[f"reader_{name}"] = one("batches/s", batches)
    return measures


class _NoLock:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def _run_threads(
    replay: Sequences, prepared: list[Any], lock: Any, sizes: Sizes, *, write: bool, read: bool
) -> tuple[float, float]:
    """Steps written and batches read per second."""
    stop = threading.Event()
    counts = {"write": 0, "read": 0}

    def writer() -> None:
        while not stop.is_set():
            item = prepared[counts["write"] % len(prepared)]
            with lock:
                replay.insert(item)
            counts["write"] += 1

    def reader() -> None:
        while not stop.is_set():
            with lock:
                replay.sample()
            counts["read"] += 1

    running = [threading.Thread(target=f) for f, on in ((writer, write), (reader, read)) if on]
    start = time.perf_counter()
    for thread in running:
        thread.start()
    time.sleep(sizes.seconds)
    stop.set()
    for thread in running:
        thread.join()
    seconds = time.perf_counter() - start
    return counts["write"] * replay.chunk * sizes.streams / seconds, counts["read"] / seconds
