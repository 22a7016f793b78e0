"""The ports through which the roles of a cluster call each other, as Ray actor calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, ObjectLostError, RayActorError

from r2d2.runtime.cluster.roles.inference import Answered, Asked
from r2d2.runtime.cluster.roles.messages import Lost, Receipt, Reply, Request

ANSWER = 30.0  # seconds until a short call counts as lost; Ray notices a lost node in 14 (measured)
LOST = (RayActorError, ObjectLostError, GetTimeoutError)


def get(reference: Any, timeout: float | None = None) -> Any:
    """The value of a reference; raises Lost if it is gone with its process."""
    try:
        return ray.get(reference, timeout=timeout)
    except LOST as error:
        raise Lost(str(error)) from error


class ShardPort:
    """An actor's connection to its shard, see `roles.acting`."""

    def __init__(self, shard: Any) -> None:
        self._shard = shard
        self._sent: Any = None

    def send(self, wire: dict[str, Any]) -> None:
        self._sent = self._shard.call.remote("add", wire)

    def receipt(self, timeout: float) -> Receipt | None:
        if not ray.wait([self._sent], timeout=timeout)[0]:
            return None
        receipt: Receipt = get(self._sent)
        return receipt

    def may_insert(self, steps: int) -> bool:
        return bool(get(self._shard.call.remote("may_insert", steps), ANSWER))

    def fetch(self, handle: Any) -> dict[str, Any]:
        return fetch(handle)


def fetch(handle: Any) -> dict[str, Any]:
    """Weights that `ShardsPort.publish` published."""
    weights: dict[str, Any] = get(handle[0], ANSWER)
    return weights


class InferencePort:
    """An actor's connection to central inference, see `roles.inference`."""

    def __init__(self, host: Any) -> None:
        self._host = host

    def step(self, asked: Asked) -> Answered:
        answered: Answered = get(self._host.call.remote("step", asked), ANSWER)
        return answered


class ShardsPort:
    """The learner's connection to the shards, see `roles.learning`."""

    def __init__(self, shards: list[Any]) -> None:
        self._shards = shards
        self._asked: dict[Any, int] = {}

    def send(self, shard: int, request: Request) -> None:
        self._asked[self._shards[shard].call.remote("exchange", request)] = shard

    def replies(self, timeout: float) -> list[tuple[int, Reply | None]]:
        if not self._asked:
            return []
        ray.wait(list(self._asked), timeout=timeout)
        ready, _ = ray.wait(list(self._asked), num_returns=len(self._asked), timeout=0)
        return [(self._asked.pop(reference), _reply(reference)) for reference in ready]

    def publish(self, weights: Mapping[str, Any]) -> Any:
        return [ray.put(dict(weights))]  # Ray does not resolve references inside a list


def _reply(reference: Any) -> Reply | None:
    try:
        reply: Reply = get(reference)
    except Lost:
        return None
    return reply
