"""Packet: the steps that an actor sends together.

Rows are sent, not items: the shard cuts them into items with the same `Replay` as the local runtime, so the items
are the same, and steps shared by overlapping items are sent once. Pixels are compressed, each environment's
consecutive frames together; recurrent states, the largest part after them, are sent only for rows at which an
item can begin.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2d2.replay.codecs import CODECS
from r2d2.types import Codec, Rows

Ints = NDArray[np.int64]


class Step(NamedTuple):
    """One step of all environments of an actor: the rows from `Actor.step`, and the updates in its weights."""

    rows: Sequence[Rows]
    updates: int


@dataclass(frozen=True)
class Packet:
    """Consecutive steps of one actor, whose environments are numbered from 0.

    `session` identifies an uninterrupted sequence of packets of an actor, numbered from 0: packet 0 begins new
    episodes. With `cut`, the last step ended all of them.
    """

    actor: int
    session: int
    number: int
    steps: Sequence[Step]
    cut: bool = False

    @cached_property
    def env_steps(self) -> int:
        """The number of environment steps: rows with an action."""
        return sum(int(np.count_nonzero(~rows.last)) for step in self.steps for rows in step.rows)


@dataclass
class Encoder:
    """Encodes packets of `environments` environments; tracks the position of each in its episode.

    `burn_in` and `period` say at which rows an item can begin (`Sequencer`).
    """

    environments: int
    burn_in: int
    period: int
    codecs: Mapping[str, Codec]  # of columns that are not sent as they are
    _at: Ints = field(init=False)  # row in its episode of each environment's next row

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """All environments begin new episodes."""
        self._at = np.zeros(self.environments, np.int64)

    def encode(self, packet: Packet) -> dict[str, Any]:
        """Plain arrays and bytes that `decode` turns into an equal packet, except for unneeded core states."""
        rows = [group for step in packet.steps for group in step.rows]
        streams = np.concatenate([group.streams for group in rows])
        order = np.argsort(streams, kind="stable")  # each environment's rows together
        wanted = np.concatenate([self._wanted(group) for group in rows])[order]
        columns = {}
        for name in rows[0].values:
            column = np.concatenate([group.values[name] for group in rows])[order]
            columns[name] = self._column(name, column)
        return {
            "head": (packet.actor, packet.session, packet.number, packet.cut),
            "updates": np.array([step.updates for step in packet.steps], np.int64),
            "groups": np.array([len(step.rows) for step in packet.steps], np.int64),
            "counts": np.array([len(group.streams) for group in rows], np.int64),
            "streams": streams,
            "last": np.concatenate([group.last for group in rows])[order],
            "wanted": wanted,
            "core": np.concatenate([group.core for group in rows])[order][wanted],
            "columns": columns,
        }

    def _wanted(self, group: Rows) -> NDArray[np.bool_]:
        """Which of these rows need their core state: an episode's first, and those at which an item begins."""
        at = self._at[group.streams]
        wanted: NDArray[np.bool_] = (at == 0) | ((at + self.burn_in) % self.period == 0)
        self._at[group.streams] = np.where(group.last, 0, at + 1)
        return wanted

    def _column(self, name: str, column: NDArray) -> Any:
        codec = self.codecs.get(name, "raw")
        if codec == "raw":
            return column
        flat = np.ascontiguousarray(column).reshape(-1).view(np.uint8)
        return CODECS[codec].encode(flat), codec, str(column.dtype), column.shape


def decode(wire: Mapping[str, Any]) -> Packet:
    """The inverse of `Encoder.encode`."""
    streams: Ints = wire["streams"]
    place = np.empty(len(streams), np.int64)
    place[np.argsort(streams, kind="stable")] = np.arange(len(streams))
    columns = {name: _decode_column(column)[place] for name, column in wire["columns"].items()}
    core = np.zeros((len(streams), wire["core"].shape[1]), np.float32)
    core[wire["wanted"]] = wire["core"]
    core, last = core[place], wire["last"][place]
    ends = np.cumsum(wire["counts"]).tolist()
    rows = [
        Rows({name: column[a:b] for name, column in columns.items()}, last[a:b], core[a:b], streams[a:b])
        for a, b in zip([0, *ends[:-1]], ends, strict=True)
    ]
    queue = iter(rows)
    counted = zip(wire["groups"].tolist(), wire["updates"].tolist(), strict=True)
    steps = [Step(list(itertools.islice(queue, count)), updates) for count, updates in counted]
    actor, epoch, number, cut = wire["head"]
    return Packet(actor, epoch, number, steps, cut)


def _decode_column(column: Any) -> NDArray:
    if isinstance(column, np.ndarray):
        return column
    data, codec, dtype, shape = column
    out = np.empty(shape, dtype)
    CODECS[codec].decode(data, out.reshape(-1).view(np.uint8))
    return out


def wire_bytes(wire: Mapping[str, Any]) -> int:
    """Bytes of an encoded packet, without its few names and numbers."""
    arrays = sum(value.nbytes for value in wire.values() if isinstance(value, np.ndarray))
    columns = wire["columns"].values()
    return arrays + sum(c.nbytes if isinstance(c, np.ndarray) else len(c[0]) for c in columns)
