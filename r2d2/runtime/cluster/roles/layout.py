"""Layout: which environments each actor has, and to which replay shard it sends their steps."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from r2d2.config import Config
from r2d2.replay.draw import batch_shares


class Layout:
    """Splits `env.num_envs` environments over `cluster.actors` actors, and these over `cluster.shards` shards.

    Environment i of the run keeps its number i, and so its epsilon, whatever the number of processes.
    """

    def __init__(self, config: Config) -> None:
        c, count = config.cluster, config.env.num_envs
        if c.actors > count:
            raise ValueError(
                f"cluster.actors must be at most env.num_envs={count}, got {c.actors}: an actor needs an "
                "environment, lower --cluster.actors or raise --env.num_envs"
            )
        if c.shards > c.actors:
            raise ValueError(
                f"cluster.shards must be at most cluster.actors={c.actors}, got {c.shards}: a shard needs an "
                "actor that fills it, lower --cluster.shards"
            )
        if c.shards > 1 and config.replay.normalize == "buffer":
            raise ValueError(
                f"replay.normalize buffer needs one shard, got cluster.shards={c.shards}: none knows the others' "
                "smallest probability, use --replay.normalize batch"
            )
        self.config = config
        self.actors, self.shards = c.actors, c.shards
        self.packet = min(
            c.packet, config.actor.actor_update_period
        )  # steps of each environment sent together
        self.sizes = batch_shares(count, [1.0] * self.actors)  # environments of each actor

    def slots(self, actor: int) -> range:
        """The numbers of an actor's environments."""
        first = sum(self.sizes[:actor])
        return range(first, first + self.sizes[actor])

    def shard_of(self, actor: int) -> int:
        """The shard that an actor sends to."""
        return actor % self.shards

    @cached_property
    def first_stream(self) -> list[int]:
        """For each actor, the stream in its shard's replay of its first environment."""
        filled = [0] * self.shards
        first = []
        for actor, size in enumerate(self.sizes):
            first.append(filled[self.shard_of(actor)])
            filled[self.shard_of(actor)] += size
        return first

    def streams(self, shard: int) -> int:
        """Streams of a shard's replay."""
        return sum(self.sizes[shard :: self.shards])

    def shard_config(self, shard: int) -> Config:
        """The config of one shard's replay: its part of the environments, of the steps and of a batch."""
        c = self.config
        folder = c.replay.folder and f"{c.replay.folder}/shard-{shard:03d}"
        steps, items = (-(-number // self.shards) for number in (c.replay.steps, c.replay.items))
        part = replace(c.replay, steps=steps, items=items, folder=folder)
        learner = replace(c.learner, batch=max(1, c.learner.batch // self.shards))
        env = replace(c.env, num_envs=self.streams(shard))
        return replace(c, env=env, replay=part, learner=learner)
