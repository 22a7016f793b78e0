"""What the tests of a cluster's roles share: the roles in one process, with faults on demand."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from run_cases import differences, tiny

from r2d2.config import Config
from r2d2.replay import Replay
from r2d2.runtime.cluster.roles.acting import ActorRole
from r2d2.runtime.cluster.roles.learning import LearnerRole
from r2d2.runtime.cluster.roles.messages import Lost, Receipt, Reply, Request
from r2d2.runtime.cluster.roles.shard import ShardRole

# Continuous actions, sampled by SAC and random at first.
CONTROL: dict[str, Any] = {
    "env__id": "MaskedPendulumContinuous-v0", "env__options": {"steps": 23}, "learner__method": "sac",
    "learner__rescaling": False, "actor__exploration": "noise", "actor__random_steps": 20,
}  # fmt: skip


def cluster(**changes: Any) -> Config:
    """A tiny run on a cluster; changes as `cluster__actors=2`."""
    return tiny(**{"run__runtime": "cluster", "env__num_envs": 2} | changes)


class InlineShard:
    """An actor's way to a shard in the same process; `lose` answers are lost on the way, after the work."""

    def __init__(self, fleet: InlineFleet, shard: int) -> None:
        self.fleet, self.shard = fleet, shard
        self.lose = 0
        self._receipt: Receipt | None = None

    def send(self, wire: dict[str, Any]) -> None:
        self._receipt = self.fleet.shards[self.shard].add(wire)

    def receipt(self, timeout: float) -> Receipt | None:
        if self.lose:
            self.lose -= 1
            raise Lost("the receipt was lost")
        return self._receipt

    def may_insert(self, steps: int) -> bool:
        return self.fleet.shards[self.shard].may_insert(steps)

    def fetch(self, handle: Any) -> dict[str, Any]:
        return dict(handle)


class InlineShards:
    """The learner's way to them; shards in `away` do not answer, those in `dead` are lost."""

    def __init__(self, fleet: InlineFleet) -> None:
        self.fleet = fleet
        self.away: set[int] = set()
        self.dead: set[int] = set()
        self.asked: deque[tuple[int, Request]] = deque()
        self.requests: list[tuple[int, Request]] = []

    def send(self, shard: int, request: Request) -> None:
        self.asked.append((shard, request))
        self.requests.append((shard, request))

    def replies(self, timeout: float) -> list[tuple[int, Reply | None]]:
        here = [(s, r) for s, r in self.asked if s not in self.away]
        self.asked = deque((s, r) for s, r in self.asked if s in self.away)
        return [(s, None if s in self.dead else self.fleet.shards[s].exchange(r)) for s, r in here]

    def publish(self, weights: Mapping[str, Any]) -> Any:
        return weights


class InlineFleet:
    """All roles of a run, each a plain object."""

    def __init__(self, config: Config, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.shards = [self.make_shard(i) for i in range(config.cluster.shards)]
        ports = [InlineShard(self, i % config.cluster.shards) for i in range(config.cluster.actors)]
        self.actors = [ActorRole(config, i, port) for i, port in enumerate(ports)]
        self.port = InlineShards(self)
        self.learner = LearnerRole(config, self.port, folder / "checkpoints")

    def make_shard(self, index: int, number: int | None = None) -> ShardRole:
        return ShardRole(self.config, index, self.folder / f"shard-{index}", number)

    def act(self) -> None:
        """A packet of every actor that may send one."""
        for role in self.actors:
            role.run(0.0)
            if not role._go:
                role._ask()
            if role._go:
                for _ in range(self.config.cluster.packet):
                    role._act()
            while role._unsent:
                role._settle(0.0)

    def learn(self) -> None:
        """All updates that are due."""
        steps = self.config.learner.batch * self.config.replay.unroll
        limiter = self.learner.limiter
        for _ in range(1000):
            self.learner.train(0.02)
            told = limiter.inserted == sum(shard.inserted for shard in self.shards)
            if not any(len(s.replay) for s in self.shards) or (told and not limiter.can_sample(steps)):
                return
        raise AssertionError("updates are due, but none is made")


def items(replay: Replay) -> tuple[Any, dict[str, Any]]:
    """All items in the order in which they came, with everything that is read of them, and their priorities."""
    places = replay.items.places
    ids = np.sort(replay.items.ids(places))
    batch = replay.get(ids)
    state = {name: value for name, value in vars(batch).items() if name not in ("records", "probability")}
    state["columns"] = {name: np.array(column) for name, column in batch.columns.items()}
    state["priorities"] = replay.selector.values(ids % replay.capacity)
    return ids, state


def replays_differ(a: Any, b: Any) -> list[str]:
    """Where two replays hold other items."""
    return differences(items(a)[1], items(b)[1])
