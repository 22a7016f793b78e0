"""Real Atari frames, recorded once with random actions (or a trained policy) and played in a loop.

Four million real steps would take an hour to play. Each stream instead repeats its own recording, whose
length is a multiple of the block: every block has the same size as the first time, and each copy is
compressed, stored and decoded separately.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.bench.sizes import Sizes

SIDE = 84  # pixels, as in the paper


@dataclass(frozen=True)
class Feed:
    """Endless rows of N streams. `last` marks rows that hold only an episode's final observation."""

    frames: NDArray[np.uint8]  # [rows, N, ...]
    action: NDArray[np.int16]  # [rows, N]
    reward: NDArray[np.float32]  # [rows, N]
    terminated: NDArray[np.bool_]  # [rows, N]
    last: NDArray[np.bool_]  # [rows, N]

    @property
    def flat(self) -> NDArray[np.uint8]:
        """All frames in a row [rows * N, ...], from which the floors copy."""
        return self.frames.reshape(-1, *self.frames.shape[2:])

    def row(self, t: int) -> dict[str, NDArray]:
        """Step t of every stream, [N, ...] each, as views."""
        k = t % len(self.frames)
        return {
            "observation": self.frames[k],
            "action": self.action[k],
            "reward": self.reward[k],
            "terminated": self.terminated[k],
        }

    def window(self, t: int, length: int) -> dict[str, NDArray]:
        """Steps t, t + 1, ... of every stream, [N, length, ...] each, as new contiguous arrays."""
        k = (t + np.arange(length)) % len(self.frames)
        columns: dict[str, NDArray] = {
            "observation": self.frames,
            "action": self.action,
            "reward": self.reward,
            "terminated": self.terminated,
        }
        return {name: np.ascontiguousarray(column[k].swapaxes(0, 1)) for name, column in columns.items()}


def small_feed(sizes: Sizes, shape: tuple[int, ...] = (8,)) -> Feed:
    """Streams of tiny random observations, so that the replay's cost is that of its index."""
    rng = np.random.default_rng(0)
    rows, n = sizes.recorded, sizes.streams
    terminated = np.zeros((rows, n), np.bool_)
    terminated[(np.arange(rows)[:, None] + 7 * np.arange(n)) % 250 == 248] = True
    return Feed(
        rng.integers(0, 256, (rows, n, *shape), np.uint8),
        rng.integers(0, 18, (rows, n)).astype(np.int16),
        rng.random((rows, n), np.float32),
        *_closed(terminated, np.roll(terminated, 1, 0)),
    )


def load_feed(cache: Path, sizes: Sizes, game: str | None = None) -> Feed:
    """Recorded streams: stream i plays game i % len(games), or all of them play `game`."""
    games = sizes.games if game is None else (game,)
    slots = slots_per_game(sizes)
    n = sizes.streams if game is None else slots
    feed = Feed(
        np.empty((sizes.recorded, n, SIDE, SIDE), np.uint8),
        np.empty((sizes.recorded, n), np.int16),
        np.empty((sizes.recorded, n), np.float32),
        np.empty((sizes.recorded, n), np.bool_),
        np.empty((sizes.recorded, n), np.bool_),
    )
    for g, name in enumerate(games):
        streams = np.arange(g, n, len(games))
        with np.load(recording(cache, sizes, name)) as saved:
            for field in ("frames", "action", "reward", "terminated", "last"):
                getattr(feed, field)[:, streams] = saved[field][:, : len(streams)]
    return feed


def slots_per_game(sizes: Sizes) -> int:
    """Recorded environments of each game, enough that every stream has its own."""
    return -(-sizes.streams // len(sizes.games))


def recording(cache: Path, sizes: Sizes, game: str) -> Path:
    """The file with a game's recording, which is made if it is not in the cache."""
    slots = slots_per_game(sizes)
    file = cache / f"{game}-random-{slots}x{sizes.recorded}.npz"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial.npz")
        np.savez(partial, **play_random(game, slots, sizes.recorded))  # type: ignore[arg-type]
        partial.replace(file)
    return file


def play_random(game: str, slots: int, rows: int) -> dict[str, NDArray]:
    """Uniformly random actions in `slots` environments; every array is [rows, slots, ...]."""
    from r2d2.envs.make import make

    env = make(f"ALE/{game}-v5", slots, frame_size=SIDE)
    rng = np.random.default_rng(1)
    actions = rng.integers(0, env.spec.num_actions, (rows, slots))
    saved: dict[str, Any] = {
        "frames": np.empty((rows, slots, SIDE, SIDE), np.uint8),
        "action": actions.astype(np.int16),
        "reward": np.zeros((rows, slots), np.float32),
    }
    terminated, last = np.zeros((rows, slots), np.bool_), np.zeros((rows, slots), np.bool_)
    observation = env.reset(seed=1)
    ended = np.zeros(slots, np.bool_)
    for t in range(rows):
        saved["frames"][t], last[t] = observation, ended
        result = env.step(actions[t])
        observation, saved["reward"][t], terminated[t] = result.observation, result.reward, result.terminated
        ended = result.terminated | result.truncated
    env.close()
    saved["terminated"], saved["last"] = _closed(terminated, last)
    return saved


def _closed(
    terminated: NDArray[np.bool_], last: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """End every stream's last episode with its recording, so that it can be played in a loop."""
    last = last.copy()
    last[0] = last[-2] = False  # no episode may consist of a final observation alone
    last[-1] = True
    return terminated & ~last, last
