"""Videos of greedy episodes."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from r2d2.agent.actor import Actor, Episode
from r2d2.build import environments
from r2d2.config import Config
from r2d2.envs.vector import RecordableEnv
from r2d2.errors import how_to_install
from r2d2.runtime.greedy import LONGEST, Interrupted, never

VIDEO_FPS = 15  # agent steps/s: an Atari game runs at 60 frames/s and a step is 4 frames


def film_set(config: Config) -> RecordableEnv:
    """One environment that can be filmed; ValueError, with the remedy, if a package is missing."""
    if importlib.util.find_spec("imageio") is None or importlib.util.find_spec("imageio_ffmpeg") is None:
        raise ValueError(f"a video needs imageio and its ffmpeg: {how_to_install('video')}")
    return environments.single(config)


def record(
    actor: Actor, environment: RecordableEnv, seed: int, path: Path, *, stopped: Callable[[], bool] = never
) -> Episode:
    """Play one episode of a one-slot environment with `rgb_frame()` and write it as a video file.

    The file gets its name only when it is complete. Raises Interrupted as soon as `stopped` says so.
    """
    import imageio.v2 as imageio  # heavy, and only needed here

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    actor.reset(seed)
    try:
        with imageio.get_writer(partial, fps=VIDEO_FPS, macro_block_size=2) as video:
            video.append_data(environment.rgb_frame())  # type: ignore[attr-defined]
            while not actor.episodes and actor.steps < LONGEST:
                if stopped():
                    raise Interrupted
                actor.step()
                video.append_data(environment.rgb_frame())  # type: ignore[attr-defined]
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return actor.episodes.popleft() if actor.episodes else actor.running()[0]
