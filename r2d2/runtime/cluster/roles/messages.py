"""How the processes of a cluster are called, and their messages besides packets of steps."""

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
        """Start a method call; returns a ticket, which may be an argument of another call."""

    def wait(self, timeout: float) -> list[tuple[Any, Any]]:
        """Finished tickets with their results: Lost if the process was lost, Failed if the method raised."""

    def pid(self, kind: str, index: int) -> int:
        """The process id of a process on its machine."""

    def close(self) -> None:
        """End all processes."""


class Lost(Exception):
    """The called process is gone, temporarily or permanently; the call may or may not have taken effect."""


class Failed(Exception):
    """A method of a role of this `kind` raised `error`: the process is alive, but a retry would not help."""

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

    `begin` asks the actor to start new episodes: steps before its packet are missing, and it was not kept. `go`
    says whether more may be sent at once. `env_steps` are those of the whole run.
    """

    begin: bool
    go: bool
    env_steps: int
    weights: Published | None


@dataclass(frozen=True)
class Feedback:
    """An update's results for items of one shard: [K] ids and priorities, and in mode `refreshed` the states
    [K, C] before their successors. Ids are valid only for one `incarnation` of the shard."""

    incarnation: int
    ids: NDArray[np.int64]
    priorities: NDArray[np.float64]
    refreshed: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Request:
    """The learner to a shard: `count` items to draw, the results for earlier ones, and the learner's progress.

    `elsewhere` are the environment steps that the other shards inserted; `trained` counts trained steps.
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
    """A shard's answer: the environment steps that it inserted, those that its process, `incarnation`, started
    with, the number of items that it holds and their mean length, and the drawn items with their mean ages
    (`Ages.of`)."""

    incarnation: int
    inserted: int
    began_with: int
    items: int
    mean_length: float
    batch: Batch | None = None
    ages: Mapping[str, float] = field(default_factory=dict)
