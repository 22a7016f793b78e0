"""ShardRole: a part of the replay, filled by some of the actors and read by the learner."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from r2d2.build import environments
from r2d2.build import replays as build_replay
from r2d2.build.agents import SAMPLING, generator
from r2d2.checkpoint import checkpoint
from r2d2.checkpoint.alike import check_alike, restoring
from r2d2.config import Config
from r2d2.replay import Replay
from r2d2.replay.selectors.mixture import Mixture
from r2d2.runtime.cluster.roles.gather import Gather
from r2d2.runtime.cluster.roles.layout import Layout
from r2d2.runtime.cluster.roles.limiter import ShardLimiter
from r2d2.runtime.cluster.roles.messages import Feedback, Published, Receipt, Reply, Request
from r2d2.runtime.cluster.roles.packet import Packet, decode, wire_bytes
from r2d2.runtime.cluster.roles.tail import Tail
from r2d2.runtime.meter import Ages, checked_ages
from r2d2.runtime.stale_states import without_stale_states
from r2d2.types import Batch, Rows


class Feed:
    """A shard's state for one of its actors, whose streams start at `first`."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.session: int | None = None
        self.next = 0  # number of the packet that comes next
        self.tail = Tail()


class ShardRole:
    """The same `Replay` as the local runtime's, with the streams of its own actors.

    Steps of a packet are written once and in order, however often and whenever the packet arrives. If an actor was
    lost, or this process with unsaved steps, running episodes are truncated at the last observation that is
    there.
    """

    def __init__(self, config: Config, shard: int, root: Path, number: int | None = None) -> None:
        """Resumes from checkpoint `number` in `root`, or from the newest there if there is one."""
        self.config, self.root = config, root
        self.layout = Layout(config)
        self._replay = build_replay.replay(self.layout.shard_config(shard), environments.spec(config))
        self.ages = Ages(self._replay.places)
        self.rng = generator(config.run.seed, SAMPLING, shard)
        actors = range(shard, self.layout.actors, self.layout.shards)
        self.feeds = {actor: Feed(self.layout.first_stream[actor]) for actor in actors}
        self._gather = Gather(actors)
        self._most_waiting = self.layout.streams(shard) * self.layout.packet // 2  # rows; ours
        self.limiter = ShardLimiter(config)
        self.incarnation = secrets.randbits(62)
        self.inserted = self.began_with = 0
        self.elsewhere = self.trained = self.updates = 0  # as last reported by the learner
        self.told = 0  # steps of this shard that the learner knew of then
        self.weights: Published | None = None
        self.counts = dict.fromkeys(("packets", "packet_bytes", "packet_steps", "repeated", "refused"), 0)
        self.stale_feedback = 0
        self._checkpoint: Path | None = None
        path = checkpoint.latest(root) if number is None else checkpoint_number(root, number)
        if path is not None:
            self._load(path)

    # -- actors ----------------------------------------------------------------------------------------

    def add(self, wire: Mapping[str, Any]) -> Receipt:
        """Add an encoded packet."""
        packet = decode(wire)
        feed = self.feeds[packet.actor]
        if packet.number == 0 and packet.session != feed.session:
            self._gather.add(packet.actor, feed.tail.close(), feed.first)
            feed.session, feed.next = packet.session, 0
        begin = packet.session != feed.session or packet.number > feed.next
        if begin:
            self.counts["refused"] += 1
        elif packet.number < feed.next:
            self.counts["repeated"] += 1
        else:
            self._take(feed, packet, wire)
        return Receipt(begin, self.may_insert(packet.env_steps), self.inserted + self.elsewhere, self.weights)

    def _take(self, feed: Feed, packet: Packet, wire: Mapping[str, Any]) -> None:
        feed.next += 1
        self._gather.add(packet.actor, feed.tail.push(packet.steps, cut=packet.cut), feed.first)
        if self._gather.rows >= self._most_waiting:
            self._write()
        self.inserted += packet.env_steps
        self.counts["packets"] += 1
        self.counts["packet_steps"] += packet.env_steps
        self.counts["packet_bytes"] += wire_bytes(wire)

    def may_insert(self, steps: int) -> bool:
        """Whether `steps` more may be inserted now. They always may while there is nothing to learn from.

        The other shards are assumed to have grown as much as this one since the learner last reported them.
        """
        if len(self._replay) == 0 and len(self.replay) == 0:
            return True
        since = self.inserted - self.told
        inserted = self.told + self.elsewhere + since * self.layout.shards
        return self.limiter.can_insert(steps * self.layout.shards, inserted=inserted, trained=self.trained)

    @property
    def replay(self) -> Replay | Mixture:
        """The replay, with everything that was added."""
        self._write()
        return self._replay

    def _write(self) -> None:
        """Write the waiting rows."""
        for rows, actor_updates in self._gather.take():
            ids = self._replay.write(rows.values, rows.last, streams=rows.streams, core=rows.core)
            if len(ids):
                updates = max(self.updates, actor_updates)
                self.ages.insert(ids, updates=updates, actor_updates=actor_updates)
                build_replay.set_initial_priorities(self.config, self._replay, ids)

    # -- the learner -----------------------------------------------------------------------------------

    def exchange(self, request: Request) -> Reply:
        """Apply the learner's results and return new items."""
        self._write()
        self.updates, self.trained, self.elsewhere = request.updates, request.trained, request.elsewhere
        self.told = self.inserted
        if request.weights is not None:
            self.weights = request.weights
        for feedback in request.feedback:
            self._learn_from(feedback)
        batch, ages = None, {}
        if request.count and len(self.replay):
            build_replay.set_alpha(self.config, self.replay, self.inserted + self.elsewhere)
            drawn = self.replay.draw(request.count, self.rng, beta=request.beta).result()
            ages = self.ages.of(drawn.ids, request.updates)
            drawn = without_stale_states(self.config, drawn, self.ages, request.updates)
            self.ages.count(drawn.ids)
            batch = _contiguous(drawn)
        return Reply(
            self.incarnation,
            self.inserted,
            self.began_with,
            len(self.replay),
            self.replay.mean_length if build_replay.batch_counts_steps(self.config) else 0.0,
            batch,
            ages,
        )

    def _learn_from(self, feedback: Feedback) -> None:
        if feedback.incarnation != self.incarnation:  # ids of an earlier process
            self.stale_feedback += len(feedback.ids)
            return
        self.replay.update_priorities(feedback.ids, feedback.priorities)
        if feedback.refreshed is not None:
            after = self.replay.successors(feedback.ids)
            self.replay.refresh(after[after >= 0], feedback.refreshed[after >= 0])

    # -- reports and checkpoints -----------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Numbers for the log."""
        return {
            "items": len(self.replay),
            "nbytes": self.replay.nbytes,
            "rows": self.replay.rows,
            "late_updates": self.replay.late_updates + self.stale_feedback,
            "incarnation": self.incarnation,
            "inserted": self.inserted,
            "began_with": self.began_with,
            **self.counts,
        }

    def save(self, number: int) -> None:
        """Write checkpoint `number`; running episodes continue."""
        state = {
            "replay": self.replay.state_dict(),
            "ages": self.ages.state_dict(),
            "rng": self.rng.bit_generator.state,
            "inserted": self.inserted,
            "tails": {actor: feed.tail.state_dict() for actor, feed in self.feeds.items()},
        }
        self._checkpoint = checkpoint.save(self.root, state, number=number, parent=self._checkpoint)

    def _check_rows(self, first: int, rows: Rows) -> None:
        """Raise ValueError unless these can be rows of an actor whose streams begin at `first`."""
        self._replay.check_rows(rows.values, rows.last, rows.streams + first, rows.core)

    def _load(self, path: Path) -> None:
        """Resume from a checkpoint; the episodes that were running then have ended."""
        state = checkpoint.load(path)
        self._checkpoint = path
        with restoring(path):
            rng = self.rng.bit_generator.state
            state["ages"] = checked_ages(state.get("ages"))
            check_alike(state, {"rng": rng, "inserted": 0, "tails": {}}, "")
            self._replay.load_state_dict(state["replay"])
            self.ages.load_state_dict(state["ages"])
            self.rng.bit_generator.state = state["rng"]
            self.inserted = self.began_with = state["inserted"]
            for actor, feed in self.feeds.items():
                feed.tail.load_state_dict(state["tails"][actor], partial(self._check_rows, feed.first))
                self._gather.add(actor, feed.tail.close(), feed.first)


def shard_root(run_dir: Path, layout: Layout, shard: int) -> Path:
    """The folder of a shard's checkpoints, a different one for every number of actors and shards."""
    return run_dir / "shards" / f"{layout.actors}-to-{layout.shards}" / f"shard-{shard:03d}"


def checkpoint_number(root: Path, number: int) -> Path | None:
    """The folder of the latest checkpoint with this `number`; None if there is none."""
    found = [root / f"ckpt-{number:08d}{suffix}" for suffix in ("", *(f"-{i}" for i in range(1, 1000)))]
    return next((path for path in reversed(found) if path.is_dir()), None)


def _contiguous(batch: Batch) -> Batch:
    """The batch with arrays of its own: views into records would be serialized record by record."""
    columns = {name: np.ascontiguousarray(column) for name, column in batch.columns.items()}
    return replace(batch, columns=columns, records=None)
