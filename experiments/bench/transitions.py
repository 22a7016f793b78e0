"""Shapes B and C: single transitions, prioritized and uniform; the sum tree alone; its rare leaves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.bench.sizes import Sizes
from experiments.bench.timing import Measure, in_turns, one

Measures = dict[str, Measure]
POOL = 256  # prepared additions, used in turn; ours
HIGH, LOW = 1.0, 0.01  # values of common and rare leaves, half of each
RARE_CALL = 100_000  # draws in one call


def pool_of(streams: int) -> list[dict[str, NDArray]]:
    """Additions of one transition of every stream; an episode lasts about 250 steps."""
    rng = np.random.default_rng(0)
    return [
        {
            "obs": rng.standard_normal((streams, 4), np.float32),
            "next_obs": rng.standard_normal((streams, 4), np.float32),
            "action": rng.integers(0, 18, streams).astype(np.int16),
            "reward": rng.standard_normal(streams, np.float32),
            "terminated": (k + 4 * np.arange(streams)) % POOL == 250,
        }
        for k in range(POOL)
    ]


def transitions(subject: ModuleType, sizes: Sizes, variant: str, cache: Path) -> Measures:
    """(B) With all items held: sample with weights, update, add 64; floor: numpy `take` of the same bytes."""
    return _measure(subject, sizes, (32, 512), prioritized=True)


def uniform(subject: ModuleType, sizes: Sizes, variant: str, cache: Path) -> Measures:
    """(C) Uniform batches of 256."""
    return _measure(subject, sizes, (256,), prioritized=False)


def _measure(subject: ModuleType, sizes: Sizes, batches: tuple[int, ...], *, prioritized: bool) -> Measures:
    pool = pool_of(sizes.streams)
    replay = subject.transitions(sizes.items, sizes.streams, prioritized)
    for k in range(
        sizes.items // sizes.streams + POOL
    ):  # a few more, since final rows are not items and the replay must evict
        replay.add(pool[k % POOL])
    state = {"k": 0}

    def add() -> None:
        state["k"] += 1
        replay.add(pool[state["k"] % POOL])

    calls: dict[str, Callable[[], object]] = {"add": add}
    for n in batches:
        calls[f"take_{n}"] = _take(sizes.items, n)
        calls[f"sample_{n}"] = lambda n=n: replay.sample(n)  # type: ignore[misc]
        if prioritized:
            calls[f"update_{n}"] = lambda n=n: replay.update(n)  # type: ignore[misc]
    return in_turns(calls, sizes.small_repeats)


def scales(subject: ModuleType, sizes: Sizes, variant: str, cache: Path) -> Measures:
    """(M) Additions of one to 1,024 environments, batches of one to 2,048; prioritized and uniform."""
    measures: Measures = {}
    for kind in ("prioritized", "uniform"):
        for streams in sizes.environments:
            pool = pool_of(streams)
            items = max(sizes.items // 10, 8 * streams)
            replay = subject.transitions(items, streams, kind == "prioritized")
            state = {"k": 0}

            def add(pool: list[dict[str, NDArray]] = pool, replay: Any = replay, state: dict = state) -> None:
                state["k"] += 1
                replay.add(pool[state["k"] % POOL])

            for _ in range(items // streams + POOL):
                add()
            calls: dict[str, Callable[[], object]] = {f"{kind}_add_{streams}": add}
            if streams == sizes.streams:
                for n in sizes.batches:
                    calls[f"{kind}_sample_{n}"] = partial(replay.sample, n)
                    if kind == "prioritized":
                        calls[f"{kind}_update_{n}"] = partial(replay.update, n)
            measures |= in_turns(calls, sizes.small_repeats)
    return measures


def _take(items: int, n: int) -> Callable[[], object]:
    """A lower bound for any replay: a random row of each column."""
    rng = np.random.default_rng(0)
    columns: list[NDArray] = [
        np.zeros((items, 4), np.float32),
        np.zeros((items, 4), np.float32),
        np.zeros(items, np.int16),
        np.zeros(items, np.float32),
        np.zeros(items, np.bool_),
    ]
    for column in columns:
        column.fill(1)

    def take() -> None:
        rows = rng.integers(items, size=n)
        for column in columns:
            column.take(rows, axis=0)

    return take


def tree(subject: ModuleType, sizes: Sizes, variant: str, cache: Path) -> Measures:
    """The sum tree alone: draw 512 leaves, give 512 leaves new values."""
    rng = np.random.default_rng(0)
    drawn = subject.tree(rng.random(sizes.items) + 0.1)
    leaves = [rng.integers(0, sizes.items, 512) for _ in range(16)]
    values = rng.random(512) + 0.1
    state = {"k": 0}

    def assign() -> None:
        state["k"] += 1
        drawn.assign(leaves[state["k"] % len(leaves)], values)

    return in_turns({"draw": lambda: drawn.draw(512), "assign": assign}, sizes.small_repeats)


def rare(subject: ModuleType, sizes: Sizes, variant: str, cache: Path) -> Measures:
    """Share of rare leaves that are ever drawn, beside the exact value; float32 trees fall short."""
    rng = np.random.default_rng(0)
    low = rng.permutation(sizes.items) < sizes.items // 2
    values = np.where(low, LOW, HIGH)
    drawn = subject.tree(values)
    seen = np.zeros(sizes.items, np.int64)
    for _ in range(max(1, sizes.draws // RARE_CALL)):
        seen += np.bincount(drawn.draw(RARE_CALL), minlength=sizes.items)
    draws = int(seen.sum())
    expected = -np.expm1(draws * np.log1p(-LOW / values.sum()))
    spread = np.sqrt(expected * (1.0 - expected) / low.sum())
    share = float(np.mean(seen[low] > 0))
    return {
        "drawn_share": one("share", share),
        "expected_share": one("share", float(expected)),
        "error": one("standard deviations", abs(share - float(expected)) / float(spread)),
        "most_drawn_rare": one("draws", float(seen[low].max())),
    }
