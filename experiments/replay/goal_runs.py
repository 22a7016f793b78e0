"""A run on a goal task without a run folder: act, learn at the replay ratio, and count reached goals."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.build import replays as build_replay
from r2d2.config import Config
from r2d2.runtime.greedy import make_greedy, play

EPISODES = 256  # of an evaluation; ours: a success rate is then known to within 0.03


class GoalRun:
    """Runs the parts of a config; the seed of everything is `run.seed`."""

    def __init__(self, config: Config) -> None:
        torch.set_num_threads(1)
        self.config, seed = config, config.run.seed
        self.environments = environments.vector(config)
        spec = self.environments.spec
        network = build.network(config, spec)
        self.learner = build.learner(config, network, device=torch.device("cpu"))
        self.replay = build_replay.replay(config, spec)
        self.limiter = build.limiter(config)
        acting, self.rng = (np.random.default_rng([seed, i]) for i in range(2))
        self.actor = build.actor(config, self.environments, copy.deepcopy(network), rng=acting)
        self.actor.reset(seed << 10)

    def train(self, updates: int) -> None:
        """Train until `updates` updates in all, with the steps that the replay ratio requires."""
        trained = self.config.learner.batch * self.config.replay.unroll
        while True:
            while len(self.replay) and self.limiter.can_sample(trained):
                if self.learner.updates == updates:
                    return
                self._learn()
            for rows in self.actor.step():
                ids = self.replay.write(rows.values, rows.last, streams=rows.streams, core=rows.core)
                self.limiter.insert(int(np.count_nonzero(~rows.last)))
                build_replay.set_initial_priorities(self.config, self.replay, ids)

    def _learn(self) -> None:
        """One update; the actor gets its weights immediately."""
        batch = self.replay.sample(self.config.learner.batch, self.rng, beta=self.config.replay.beta)
        self.replay.update_priorities(batch.ids, self.learner.update(batch).priorities)
        self.limiter.sample(batch.steps)
        self.actor.network.load_state_dict(self.learner.network.state_dict())

    def success(self) -> float:
        """Share of greedy episodes that reach their goal: only there a reward is 0 and not -1."""
        vector = environments.vector(self.config, EPISODES)
        greedy = make_greedy(vector, self.learner.network)
        episodes = play(greedy, (self.config.run.seed << 10) + 512)
        vector.close()
        return float(np.mean([episode.total > -episode.length for episode in episodes]))


def changed(config: Config, **changes: Any) -> Config:
    """A config with other values, as `replay__copies=2`."""
    for name, value in changes.items():
        section, _, key = name.partition("__")
        config = replace(config, **{section: replace(getattr(config, section), **{key: value})})
    return config
