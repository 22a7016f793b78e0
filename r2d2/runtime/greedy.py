"""Greedy episodes: how an agent is evaluated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from r2d2.agent.actor import Actor, Environments, Episode
from r2d2.agent.networks import QNetwork

LONGEST = 200_000  # steps after which an evaluation episode is taken as it stands; ours, 7 times Atari's cap


class Interrupted(Exception):
    """The run was asked to stop within an evaluation, which is given up."""


def make_greedy(environments: Environments, network: QNetwork) -> Actor:
    """An actor that never explores. R2D2 evaluates greedily from up to 30 no-ops."""
    device = next(network.parameters()).device
    rng = np.random.default_rng(0)  # never decides anything: epsilon is 0
    return Actor(environments, network, rng=rng, device=device)


def never() -> bool:
    """What asks for no stop."""
    return False


def play(actor: Actor, seed: int, *, stopped: Callable[[], bool] = never) -> list[Episode]:
    """The first episode of every environment, from seeds seed + i; one episode each favors no short ones.

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
