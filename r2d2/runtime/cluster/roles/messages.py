"""How the processes of a cluster are reached, and what they say to each other besides packets of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from r2d2.types import Batch


class Fleet(Protocol):
    """The processes: `actor`, `shard`, `learner` and `evaluator`, each with an index."""

    def call(self, kind: str, index: int, method: str, *arguments: Any) -> Any:
        """Ask for a method's result; returns a ticket, which may be an argument of another call."""

    def wait(self, timeout: float) -> list[tuple[Any, Any]]:
        """Tickets that have come with their results: Lost where the process was, Failed where the method raised."""

    def pid(self, kind: str, index: int) -> int:
        """The number of a process on its machine."""

    def close(self) -> None:
        """End all processes."""


class Lost(Exception):
    """Who was asked is gone, for now or for good; what was asked of it may or may not have been done."""


class Failed(Exception):
    """A method of a role of this `kind` raised `error`: the process is there, but asking again would not help."""

    def __init__(self, kind: str, error: Exception) -> None:
        super().__init__(f"{kind}: {error}")
        self.kind, self.error = kind, error


@dataclass(frozen=True)
class Published:
    """Weights that can be fetched with `handle`; `updates` are those in them."""

    updates: int
    handle: Any


@dataclass(frozen=True)
class Receipt:
    """A shard's answer to a packet.

    `begin` asks the actor to start new episodes, since steps before its packet are missing: it was not kept.
    `go` says whether more may be sent at once. `env_steps` are those of the whole run.
    """

    begin: bool
    go: bool
    env_steps: int
    weights: Published | None


@dataclass(frozen=True)
class Feedback:
    """What an update found out about items of one shard: [K] ids and priorities, and in mode `refreshed` the
    states [K, C] before their successors. Ids mean nothing to another `incarnation` of the shard."""

    incarnation: int
    ids: NDArray[np.int64]
    priorities: NDArray[np.float64]
    refreshed: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Request:
    """The learner to a shard: `count` items to draw, what it found out about earlier ones, and where it stands.

    `elsewhere` are the environment steps that the other shards took in; `trained` counts trained steps.
    """

    count: int
    beta: float
    updates: int
    trained: int
    elsewhere: int
    feedback: Sequence[Feedback] = ()
    weights: Published | None = None


@dataclass(frozen=True)
class Reply:
    """A shard's answer: the environment steps that it took in, those of them that its process, `incarnation`,
    began with, the items that it holds, and those drawn with their mean ages (`Ages.of`)."""

    incarnation: int
    inserted: int
    began_with: int
    items: int
    batch: Batch | None = None
    ages: Mapping[str, float] = field(default_factory=dict)
