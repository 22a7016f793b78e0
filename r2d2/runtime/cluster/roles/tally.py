"""Tally: the statistics of a cluster run between two log lines, and lost processes."""

from __future__ import annotations

from typing import Any

from r2d2.config import Config
from r2d2.runtime.cluster.roles.acting import Acted
from r2d2.runtime.cluster.roles.learning import Progress

KINDS = ("actor", "shard", "learner", "evaluator")


class Tally:
    """Aggregates the reports of actors and shards. Counts of losses are of the whole run."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.lost = dict.fromkeys(KINDS, 0)  # processes
        self.updates_lost = 0  # made after the checkpoint from which a learner resumed
        self.steps_lost = 0  # environment steps that shards inserted and lost
        self._missing: dict[int, int] = {}  # of each actor's process, steps that it could not deliver
        self.recovered: dict[tuple[str, int], float] = {}  # seconds of each one's last outage
        self._down: dict[tuple[str, int], float] = {}  # start of the outage
        self._shards: dict[int, dict[str, Any]] = {}  # each shard's last report
        self._episodes = 0
        self._waited = self._slices = 0.0
        self._versions: dict[int, int] = {}  # updates in each actor's weights

    def heard(self, kind: str, index: int, *, lost: bool, now: float) -> str | None:
        """A process answered, or was found lost, at `now` seconds; returns a message if that is news."""
        key = (kind, index)
        if lost and key not in self._down:
            self._down[key] = now
            self.lost[kind] += 1
            return f"{kind} {index} is lost; it will be started again"
        if not lost and key in self._down:
            self.recovered[key] = now - self._down.pop(key)
            return f"{kind} {index} is back after {self.recovered[key]:.1f} s"
        return None

    def acted(self, actor: int, acted: Acted) -> None:
        """Add an actor's report."""
        self._episodes += len(acted.episodes)
        self._waited += acted.waited
        self._slices += acted.seconds
        self._missing[actor] = max(self._missing.get(actor, 0), acted.missing)
        self._versions[actor] = acted.updates

    def shard(self, shard: int, status: dict[str, Any]) -> None:
        """Add a shard's report; a new process in its place has lost what the old one had not saved."""
        before = self._shards.get(shard)
        if before is not None and before["incarnation"] != status["incarnation"]:
            self.steps_lost += before["inserted"] - status["began_with"]
        self._shards[shard] = status

    def metrics(self, progress: Progress) -> dict[str, float]:
        """Metrics for a log line; resets means and counts."""
        total = {name: sum(status[name] for status in self._shards.values()) for name in _SUMMED}
        metrics = {
            "train/episodes": self._episodes,
            "replay/fill": min(1.0, total["rows"] / self._config.replay.steps),
            "replay/items": total["items"],
            "replay/ratio": progress.ratio,
            "replay/late_updates": total["late_updates"],
            "memory/replay_bytes": total["nbytes"],
            "cluster/packet_bytes_per_step": total["packet_bytes"] / max(1, total["packet_steps"]),
            "cluster/packets_refused": total["refused"],
            "cluster/packets_repeated": total["repeated"],
            "cluster/actor_waiting_share": self._waited / max(1e-9, self._slices),
            "cluster/lost_steps": self.steps_lost + sum(self._missing.values()),
            "cluster/lost_updates": self.updates_lost,
            **{f"cluster/lost_{kind}s": count for kind, count in self.lost.items()},
        }
        if self._versions:
            behind = progress.updates - sum(self._versions.values()) / len(self._versions)
            metrics["cluster/updates_behind"] = behind
        self._episodes, self._waited, self._slices = 0, 0.0, 0.0
        return metrics

    def state_dict(self) -> dict[str, Any]:
        return {"lost": dict(self.lost), "updates_lost": self.updates_lost, "steps_lost": self.steps_lost}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.lost = dict(state["lost"])
        self.updates_lost, self.steps_lost = state["updates_lost"], state["steps_lost"]


_SUMMED = (
    "items",
    "nbytes",
    "rows",
    "late_updates",
    "packet_bytes",
    "packet_steps",
    "refused",
    "repeated",
)
