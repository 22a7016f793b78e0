"""The codec study: how far a block of frames shrinks and how fast, by codec, level and game.

    python -m experiments.bench --only K --policy runs/pong

also plays the run's trained network, since a good player's frames may not compress like those of random play.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cramjam
import numpy as np
import zstandard
from numpy.typing import NDArray

from experiments.bench.frames import load_feed
from experiments.bench.sizes import Sizes
from experiments.bench.timing import Measure, one

Measures = dict[str, Measure]
BLOCK = 40  # frames compressed together
Encode = Callable[[NDArray], Any]
Decode = Callable[[Any, NDArray], Any]


def _zstd(level: int) -> tuple[Encode, Decode]:
    compressor, decompressor = zstandard.ZstdCompressor(level=level), zstandard.ZstdDecompressor()

    def decode(data: Any, out: NDArray) -> None:
        with decompressor.stream_reader(data) as reader:
            reader.readinto(out.data)

    return lambda data: compressor.compress(data.data), decode


def _lz4() -> tuple[Encode, Decode]:
    """cramjam takes a level for lz4 blocks but ignores it: this is the fast compressor."""
    return (
        lambda data: cramjam.lz4.compress_block(data, store_size=False),
        cramjam.lz4.decompress_block_into,
    )


def _lz4_hc(level: int) -> tuple[Encode, Decode]:
    """The slow compressor, with the same decoder; only where python-lz4 is installed."""
    block = importlib.import_module("lz4.block")
    return (
        lambda data: block.compress(data, mode="high_compression", compression=level, store_size=False),
        cramjam.lz4.decompress_block_into,
    )


CODECS: dict[str, tuple[Encode, Decode]] = {"lz4": _lz4(), "zstd-1": _zstd(1), "zstd-3": _zstd(3)}
if importlib.util.find_spec("lz4") is not None:
    CODECS |= {"lz4-hc-1": _lz4_hc(1), "lz4-hc-3": _lz4_hc(3)}


def codecs(subject: ModuleType, sizes: Sizes, variant: str, cache: Path) -> Measures:
    """Every codec on every game's random frames, or on those of the policy in the run folder `variant`."""
    if variant:
        game, blocks = policy_blocks(Path(variant), sizes)
        side = "x".join(map(str, blocks[0].shape[1:]))
        return _study(f"{game} {side}, trained policy", blocks)
    measures: Measures = {}
    for game in sizes.games:
        measures |= _study(game, random_blocks(load_feed(cache, sizes, game).frames, sizes.blocks))
    return measures


def random_blocks(frames: NDArray[np.uint8], limit: int) -> list[NDArray[np.uint8]]:
    """Consecutive blocks [BLOCK, ...] of the streams in frames [rows, N, ...], spread evenly."""
    rows, n = frames.shape[:2]
    places = [(t, i) for t in range(0, rows - BLOCK + 1, BLOCK) for i in range(n)]
    step = max(1, len(places) // limit)
    return [np.ascontiguousarray(frames[t : t + BLOCK, i]) for t, i in places[::step][:limit]]


def _study(game: str, blocks: list[NDArray[np.uint8]]) -> Measures:
    """Ratio over all blocks; GB/s of raw bytes, one sample per block, codecs in turn."""
    raw = [block.reshape(-1) for block in blocks]
    out = np.empty_like(raw[0])
    size: dict[str, int] = dict.fromkeys(CODECS, 0)
    speed: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in CODECS}
    for data in raw:
        for name, (encode, decode) in CODECS.items():
            start = time.perf_counter()
            packed = encode(data)
            middle = time.perf_counter()
            decode(packed, out)
            end = time.perf_counter()
            if not np.array_equal(out, data):
                raise RuntimeError(f"{name} did not give back a block of {game}")
            size[name] += len(packed)
            speed[name][0].append(data.nbytes / 1e9 / (middle - start))
            speed[name][1].append(data.nbytes / 1e9 / (end - middle))
    total = sum(data.nbytes for data in raw)
    measures: Measures = {}
    for name in CODECS:
        measures[f"{game}/{name}/ratio"] = one("x", total / size[name])
        measures[f"{game}/{name}/encode"] = Measure("GB/s", speed[name][0])
        measures[f"{game}/{name}/decode"] = Measure("GB/s", speed[name][1])
    return measures


def policy_blocks(run_dir: Path, sizes: Sizes) -> tuple[str, list[NDArray[np.uint8]]]:
    """Blocks of observations of a run's newest network, which plays greedily except for one step in a hundred."""
    from r2d2.runs.folder import read_config

    config, _ = read_config(run_dir)
    slots = 8
    frames = []
    for observation in _play(run_dir, slots):
        frames.append(observation.copy())
        if len(frames) * slots >= sizes.blocks * BLOCK:
            break
    return config.env.id, random_blocks(np.stack(frames), sizes.blocks)


def _play(run_dir: Path, slots: int) -> Iterator[NDArray[np.uint8]]:
    """The newest frame [slots, ...] of every environment, step by step, endlessly."""
    from r2d2.build import agents as build
    from r2d2.build import environments
    from r2d2.checkpoint import checkpoint
    from r2d2.runs.folder import CHECKPOINTS, read_config
    from r2d2.runtime.greedy import make_greedy

    config, _ = read_config(run_dir)
    vector = environments.vector(config, slots)
    if all(column.kind != "frames" for column in build.observations(config, vector.spec).values()):
        raise ValueError(f"the codec study needs a run on pixels, {run_dir} is one on {config.env.id}")
    network = build.network(config, vector.spec)
    network.load_state_dict(
        checkpoint.load_part(run_dir / CHECKPOINTS, ["learner/network"])["learner/network"]
    )
    actor = make_greedy(vector, network)
    actor.epsilon = np.full(slots, 0.01)  # or one wrong move can stall the game for the whole study; ours
    actor.reset(seed=1)
    while True:
        yield actor.step()[0].values["observation"]
        actor.episodes.clear()
