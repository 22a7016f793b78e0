"""LearnerRole: draws from all shards, updates the network, and sends the results back to the shards."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from r2d2.agent.learner import Update
from r2d2.agent.networks import parameter_hash
from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.build import replays as build_replay
from r2d2.checkpoint import checkpoint
from r2d2.checkpoint.alike import restoring
from r2d2.config import Config
from r2d2.replay.draw import batch_shares
from r2d2.runs.policy_files import Policies
from r2d2.runtime.cluster.roles.join import Part, join, mean_ages
from r2d2.runtime.cluster.roles.limiter import ClusterLimiter
from r2d2.runtime.cluster.roles.messages import Feedback, Published, Reply, Request
from r2d2.runtime.meter import Meter
from r2d2.runtime.restored import check_hash, check_learner

PAUSE = 0.005  # seconds between polls of the shards while no update is due; ours
PATIENCE = 1.0  # seconds after which a batch is made of the parts at hand; ours: far above an exchange


class ShardsPort(Protocol):
    """The learner's connection to the shards. At most one request per shard may be pending."""

    def send(self, shard: int, request: Request) -> None:
        """Send a request to a shard; `replies` returns the answer."""

    def replies(self, timeout: float) -> list[tuple[int, Reply | None]]:
        """Answers received, after waiting up to `timeout` seconds for one; None from a lost shard."""

    def publish(self, weights: Mapping[str, Any]) -> Any:
        """Put arrays where all processes can fetch them; returns their handle."""


class Progress(NamedTuple):
    """The learner's progress."""

    updates: int  # in its weights
    trained: int  # trained steps in its weights
    env_steps: int  # of the whole run
    items: int
    ratio: float


class LearnerRole:
    """Composed of the same `Learner` as the local runtime.

    The next batch is requested while it works on this one, and the results for a batch are sent with the request
    after that one: priorities are two updates old.
    """

    def __init__(self, config: Config, port: ShardsPort, root: Path, path: Path | None = None) -> None:
        """Resumes from checkpoint `path`, or from the newest in `root` if there is one."""
        self.config, self.port, self.root = config, port, root
        shards = config.cluster.shards
        spec = environments.spec(config)
        self.policies = Policies(root.parent, config, spec, _warn)
        self.learner = build.learner(
            config,
            build.network(config, spec),
            device=build.device(config),
            resets=build.resets(config, spec),
        )
        self.limiter = ClusterLimiter(config, shards)
        self.meter = Meter()
        self.lost_replies = 0
        self._items = [0] * shards  # held by each shard
        self._lengths = [0.0] * shards  # their mean trained steps
        self._asked: dict[int, float] = {}  # shards that have not answered yet, and when they were asked
        self._awaited: set[int] = set()  # those of them whose part the next batch waits for
        self._parts: list[Part] = []
        self._feedback: list[list[Feedback]] = [[] for _ in range(shards)]
        self._published: Published | None = None
        self._has_weights = [False] * shards  # whether a shard knows the newest published ones
        self._times = dict.fromkeys(("updating", "starved", "limited"), 0.0)  # seconds
        self._checkpoint = checkpoint.latest(root) if path is None else path
        if self._checkpoint is not None:
            state = checkpoint.load_part(self._checkpoint, ["learner", "limiter", "parameter_hash"])
            with restoring(self._checkpoint):
                check_learner(state["learner"], self.learner)
                self.learner.load_state_dict(state["learner"])
                check_hash(self.learner.network, state["parameter_hash"])
                self.limiter.load_state_dict(state["limiter"])

    # -- the loop --------------------------------------------------------------------------------------

    def train(self, seconds: float) -> Progress:
        """Make the updates that are due, for about `seconds`."""
        end = time.monotonic() + seconds
        self._publish()
        while (now := time.monotonic()) < end:
            if not self._awaited and not self._parts:
                self._ask(self._batch)
            due = self.limiter.can_sample(self.config.learner.batch * self.config.replay.unroll)
            ready = bool(self._parts) and not self._awaited
            if ready and due:
                self._update()
                kind = "updating"
            elif ready:
                self._ask(0)  # only to learn of new steps
                self._receive(PAUSE)
                time.sleep(PAUSE)
                kind = "limited"
            else:
                self._receive(PAUSE)
                if not self._asked:
                    time.sleep(PAUSE)
                kind = "starved" if due else "limited"
            self._times[kind] += time.monotonic() - now
        return self.progress()

    def progress(self) -> Progress:
        """The current progress."""
        limiter = self.limiter
        return Progress(
            self.learner.updates, limiter.trained, limiter.inserted, sum(self._items), limiter.measured_ratio
        )

    @property
    def _batch(self) -> int:
        """Items of the next batch."""
        return build_replay.batch_items(self.config, self._mean_length)

    def _mean_length(self) -> float:
        """Of the items of all shards."""
        total = sum(n * length for n, length in zip(self._items, self._lengths, strict=True))
        return total / max(1, sum(self._items))

    def _ask(self, count: int) -> None:
        """Send a request to every shard without a pending one, for `count` items altogether."""
        free = [shard for shard in range(len(self._items)) if shard not in self._asked]
        held = [self._items[shard] for shard in free]
        counts = batch_shares(count, [float(n) for n in held]) if sum(held) else [0] * len(free)
        beta = build_replay.beta(self.config, self.limiter.inserted)
        for shard, wanted in zip(free, counts, strict=True):
            feedback, self._feedback[shard] = self._feedback[shard], []
            request = Request(
                wanted,
                beta,
                self.learner.updates,
                self.limiter.trained,
                self.limiter.elsewhere(shard),
                feedback,
                None if self._has_weights[shard] else self._published,
            )
            self.port.send(shard, request)
            self._has_weights[shard] = True
            self._asked[shard] = time.monotonic()
            if wanted:
                self._awaited.add(shard)

    def _receive(self, timeout: float) -> None:
        """Process the shards' answers, without waiting for one that is overdue."""
        for shard, reply in self.port.replies(timeout if self._asked else 0.0):
            del self._asked[shard]
            if reply is None:
                self._lost(shard)
                continue
            self._items[shard], self._lengths[shard] = reply.items, reply.mean_length
            self.limiter.report(shard, reply.incarnation, reply.inserted, reply.began_with)
            if shard in self._awaited and reply.batch is not None:
                self._parts.append(Part(shard, reply.incarnation, reply.batch, dict(reply.ages)))
            self._awaited.discard(shard)
        now = time.monotonic()
        self._awaited = {shard for shard in self._awaited if now - self._asked[shard] < PATIENCE}

    def _lost(self, shard: int) -> None:
        """A shard is lost, perhaps with a request: its successor has no weights yet."""
        self.lost_replies += 1
        self._items[shard] = 0
        self._awaited.discard(shard)
        self._has_weights[shard] = False

    def _update(self) -> None:
        parts, self._parts = self._parts, []
        config = self.config
        beta = build_replay.beta(config, self.limiter.inserted)
        batch = join(parts, beta=beta)
        self._ask(self._batch)
        self.learner.set_learning_rate(build.learning_rate(config, self.limiter.inserted))
        update = self.learner.update(batch)
        self.limiter.sample(batch.steps)
        metrics = {f"learner/{name}": value for name, value in update.metrics.items()}
        self.meter.add(metrics | mean_ages(parts))
        self._note(parts, update)
        if self.learner.updates % self._publish_period == 0:
            self._publish()

    def _note(self, parts: list[Part], update: Update) -> None:
        """Store an update's results for the shards that the items came from."""
        start = 0
        for part in parts:
            mine = slice(start, start + len(part.batch.ids))
            refreshed = None if update.refreshed is None else update.refreshed[mine]
            feedback = Feedback(part.incarnation, part.batch.ids, update.priorities[mine], refreshed)
            self._feedback[part.shard].append(feedback)
            start = mine.stop

    @property
    def _publish_period(self) -> int:
        """Updates per `actor.actor_update_period` steps of every environment: as often as actors refresh."""
        c = self.config
        steps = c.actor.actor_update_period * c.env.num_envs * c.replay.replay_ratio
        return max(1, int(steps / (c.learner.batch * c.replay.unroll)))

    def _publish(self) -> None:
        """Publish the weights, unless they are published already."""
        if self._published is not None and self._published.updates == self.learner.updates:
            return
        self._published = Published(self.learner.updates, self.port.publish(self.weights()))
        self._has_weights = [False] * len(self._has_weights)

    def weights(self) -> dict[str, Any]:
        """The network's parameters as arrays of their own."""
        state = self.learner.network.state_dict()
        return {name: np.array(value.detach().cpu().numpy()) for name, value in state.items()}

    # -- reports and checkpoints -----------------------------------------------------------------------

    def report(self) -> dict[str, float]:
        """Numbers for the log, since the last report."""
        spent, self._times = self._times, dict.fromkeys(self._times, 0.0)
        total = sum(spent.values()) or 1.0
        shares = {f"cluster/{name}_share": seconds / total for name, seconds in spent.items()}
        return self.meter.take() | shares

    def save(self, number: int, extra: Mapping[str, Any]) -> tuple[str, Progress]:
        """Write checkpoint `number` of the run, without the shards'; returns its folder and the progress in it."""
        state = {
            "learner": self.learner.state_dict(),
            "limiter": self.limiter.state_dict(),
            "parameter_hash": parameter_hash(self.learner.network),
            **extra,
        }
        self._checkpoint = checkpoint.save(self.root, state, number=number, parent=self._checkpoint)
        steps = extra["actor"]["steps"]
        self.policies.keep_last(self.learner.network, env_steps=steps, updates=self.learner.updates)
        return str(self._checkpoint), self.progress()

    def threads(self, count: int) -> None:
        """CPU threads of the network."""
        torch.set_num_threads(count)


def _warn(text: str) -> None:
    print(text, file=sys.stderr)
