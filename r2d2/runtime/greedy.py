"""Greedy episodes, for evaluations and videos."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np

from r2d2.agent.actor import Actor, Environments, Episode
from r2d2.agent.actor_critic import AgentNetwork
from r2d2.build import environments
from r2d2.config import Config
from r2d2.envs.vector import RecordableEnv
from r2d2.errors import how_to_install

LONGEST = 200_000  # steps after which an evaluation episode is cut off; ours, 7 times Atari's cap
VIDEO_FPS = 15  # agent steps/s: an Atari game runs at 60 frames/s and a step is 4 frames


class Interrupted(Exception):
    """The run was asked to stop during an evaluation, which is discarded."""


def make_greedy(vector: Environments, network: AgentNetwork) -> Actor:
    """An actor that never explores. R2D2 evaluates greedily from up to 30 no-ops."""
    device = next(network.parameters()).device
    rng = np.random.default_rng(0)  # has no effect: epsilon is 0
    return Actor(vector, network, rng=rng, device=device)


def never() -> bool:
    """The default for `stopped`: do not stop."""
    return False


def play(actor: Actor, seed: int, *, stopped: Callable[[], bool] = never) -> list[Episode]:
    """The first episode of every environment i, with seed + i; one each, so that short ones are not favored.

    Raises Interrupted as soon as `stopped` says so.
    """
    actor.reset(seed)
    first: dict[int, Episode] = {}
    steps = 0
    while len(first) < actor.environments.num_envs:
        if stopped():
            raise Interrupted
        actor.step()
        steps += 1
        if steps == LONGEST:  # an environment without a time limit, and a policy that never ends it
            actor.episodes.extend(actor.running())
        while actor.episodes:
            episode = actor.episodes.popleft()
            first.setdefault(episode.slot, episode)
    return [first[slot] for slot in sorted(first)]


def summary(episodes: list[Episode]) -> dict[str, float]:
    """Mean, median, spread and length of evaluation episodes."""
    returns = np.array([episode.total for episode in episodes])
    return {
        "evaluate/mean_return": float(returns.mean()),
        "evaluate/median_return": float(np.median(returns)),
        "evaluate/min_return": float(returns.min()),
        "evaluate/max_return": float(returns.max()),
        "evaluate/mean_length": float(np.mean([episode.length for episode in episodes])),
    }


def film_set(config: Config) -> RecordableEnv:
    """One environment that can be recorded; ValueError, with the remedy, if a package is missing."""
    if importlib.util.find_spec("imageio") is None or importlib.util.find_spec("imageio_ffmpeg") is None:
        raise ValueError(f"a video needs imageio and its ffmpeg: {how_to_install('video')}")
    return environments.single(config)


def film(
    actor: Actor, environment: RecordableEnv, seed: int, path: Path, *, stopped: Callable[[], bool] = never
) -> Episode:
    """Play one episode of a one-slot environment with `rgb_frame()` and write it as a video file.

    The file is renamed into place once complete. Raises Interrupted as soon as `stopped` says so.
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
