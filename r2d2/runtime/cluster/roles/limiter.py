"""ClusterLimiter: one replay ratio over all shards, kept by the learner from what the shards report.

The learner never trains ahead of the steps that it knows of. A shard lets an actor continue while the learner, as
far as the shard knows, is at most `slack` trained steps behind. All of them count the same environment steps:
those that a shard lost with its process stay counted, and learning resumes at the same ratio.
"""

from __future__ import annotations

from typing import Any

from r2d2.build import agents as build
from r2d2.config import Config
from r2d2.replay import RateLimiter
from r2d2.replay.saved import Saved
from r2d2.runtime.cluster.roles.layout import Layout


def slack(config: Config) -> float:
    """Trained steps that learning may be behind: `cluster.slack` batches, and one packet per actor, since each
    may be in transit when the others' arrive."""
    c, batch = config.cluster, config.learner.batch * config.replay.unroll
    packets = Layout(config).packet * -(-config.env.num_envs // c.actors) * c.actors
    return c.slack * batch + batch + config.replay.replay_ratio * packets


class ClusterLimiter:
    """The learner's side: environment steps of every shard, trained steps, and their ratio."""

    def __init__(self, config: Config, shards: int) -> None:
        self._limiter = build.limiter(config)
        self._known = [0] * shards  # each shard's own count when it last answered
        self._incarnation: list[int | None] = [None] * shards  # the process that counted

    def report(self, shard: int, incarnation: int, inserted: int, began_with: int) -> None:
        """A shard has inserted `inserted` steps; its process started with `began_with`, from a checkpoint.

        A new process may start with fewer steps than were counted: the lost ones stay counted.
        """
        known = self._known[shard] if self._incarnation[shard] == incarnation else began_with
        self._limiter.insert(inserted - known)
        self._known[shard], self._incarnation[shard] = inserted, incarnation

    @property
    def inserted(self) -> int:
        """Environment steps of the whole run."""
        return self._limiter.inserted

    @property
    def trained(self) -> int:
        """Trained steps in the learner's weights."""
        return self._limiter.trained

    @property
    def measured_ratio(self) -> float:
        """See `RateLimiter`."""
        return self._limiter.measured_ratio

    def elsewhere(self, shard: int) -> int:
        """What `shard` must add to its own count to get the run's."""
        return self._limiter.inserted - self._known[shard]

    def can_sample(self, steps: int) -> bool:
        """Whether a batch of `steps` trained steps is due."""
        return self._limiter.can_sample(steps)

    def sample(self, steps: int) -> None:
        """Count trained steps."""
        self._limiter.sample(steps)

    def state_dict(self) -> dict[str, Any]:
        return {
            "limiter": self._limiter.state_dict(),
            "known": list(self._known),
            "incarnation": list(self._incarnation),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The state may have another number of shards: all steps so far are then `elsewhere`."""
        saved = Saved(state, "limiter")
        known, incarnation = saved.counts("known"), saved.counts("incarnation", unknown=True)
        if len(known) != len(incarnation):
            raise saved.refuse("incarnation", f"must have one number for each of {len(known)} shards")
        self._limiter.load_state_dict(state["limiter"])
        if len(known) == len(self._known):
            self._known, self._incarnation = known, incarnation


class ShardLimiter:
    """A shard's side: whether an actor may send more."""

    def __init__(self, config: Config) -> None:
        self._limiter = RateLimiter(
            config.replay.replay_ratio, min_steps=config.replay.min_steps, slack=slack(config)
        )

    def can_insert(self, steps: int, *, inserted: int, trained: int) -> bool:
        """Whether `steps` more may be inserted, after `inserted` and `trained` steps of the whole run."""
        self._limiter.load_state_dict({"inserted": inserted, "trained": trained})
        return self._limiter.can_insert(steps)
