"""The rate at which one replay shard takes packets: recorded ones, replayed as those of the paper's 256 actors.

Part of `experiments.bench.cluster`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from experiments.cluster.faults import changed
from r2d2.config import Config
from r2d2.runtime.cluster.roles.acting import ActorRole
from r2d2.runtime.cluster.roles.messages import Receipt
from r2d2.runtime.cluster.roles.packet import wire_bytes
from r2d2.runtime.cluster.roles.shard import ShardRole

PAPER_ACTORS = 256  # with one environment each (Kapturowski et al. 2019)
NEVER = 10**12  # steps before learning starts
WINDOW = 16  # packets in flight at once; ours
Take = Callable[[Config, Path, Iterator[dict[str, Any]]], float]  # a shard takes all packets; seconds


class Tape:
    """A shard that keeps what it receives, to record an actor."""

    def __init__(self) -> None:
        self.packets: list[dict[str, Any]] = []

    def send(self, wire: dict[str, Any]) -> None:
        self.packets.append(wire)

    def receipt(self, timeout: float) -> Receipt:
        return Receipt(begin=False, go=True, env_steps=0, weights=None)

    def may_insert(self, steps: int) -> bool:
        return True

    def fetch(self, handle: Any) -> dict[str, Any]:
        raise NotImplementedError("no weights are offered")


def recorded(config: Config, packets: int) -> list[dict[str, Any]]:
    """`packets` packets of a single environment."""
    tape = Tape()
    role = ActorRole(changed(config, {"env.num_envs": 1, "cluster.actors": 1}), 0, tape)
    while len(tape.packets) < packets:
        role.run(0.2)
    return tape.packets[:packets]


def as_actors(tape: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The packets of one actor as those of many, all first ones, all second ones and so on."""
    for (number, wire), actor in itertools.product(enumerate(tape), range(PAPER_ACTORS)):
        yield dict(wire) | {"head": (actor, 1, number, False)}


def shard(config: Config, packets: int) -> list[dict[str, Any]]:
    """Packets of 256 actors into one shard: in this process, and through Ray from one that sends without pause."""
    tape = recorded(config, packets)
    load = changed(config, {
        "env.num_envs": PAPER_ACTORS, "cluster.actors": PAPER_ACTORS, "replay.min_steps": NEVER,
    })  # fmt: skip
    return [
        {"how": how} | _rate(tape, load, take)
        for how, take in (("in one process", _alone), ("through Ray", _ray))
    ]


def _rate(tape: Sequence[Mapping[str, Any]], load: Config, take: Take) -> dict[str, float]:
    """Rates without the first packet of each actor, during which code is compiled and caches fill."""
    steps = [int((~wire["last"]).sum()) for wire in tape]
    with TemporaryDirectory() as folder:
        seconds = take(load, Path(folder), as_actors(tape))
    bytes_ = sum(wire_bytes(wire) for wire in tape)
    return {
        "packets_per_second": (len(tape) - 1) * PAPER_ACTORS / seconds,
        "steps_per_second": sum(steps[1:]) * PAPER_ACTORS / seconds,
        "bytes_per_step": bytes_ / sum(steps),
    }


def _alone(load: Config, folder: Path, packets: Iterator[dict[str, Any]]) -> float:
    role = ShardRole(load, 0, folder)
    for wire in itertools.islice(packets, PAPER_ACTORS):
        role.add(wire)
    began = time.monotonic()
    for wire in packets:
        role.add(wire)
    return time.monotonic() - began


def _ray(load: Config, folder: Path, packets: Iterator[dict[str, Any]]) -> float:
    from r2d2.runtime.cluster.ray_fleet import RayFleet

    fleet = RayFleet(load, folder, None, None, kinds=["shard"])
    under_way = 0

    def send(some: Iterator[dict[str, Any]]) -> None:
        nonlocal under_way
        for wire in some:
            fleet.call("shard", 0, "add", wire)
            under_way += 1
            while under_way >= WINDOW:
                under_way -= len(fleet.wait(1.0))
        while under_way:
            under_way -= len(fleet.wait(1.0))

    send(itertools.islice(packets, PAPER_ACTORS))
    began = time.monotonic()
    send(packets)
    seconds = time.monotonic() - began
    fleet.close()
    return seconds
