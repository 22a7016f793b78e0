"""Rows that wait for others are the rows that were sent: whenever they are written, the same items come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from role_cases import InlineFleet, cluster, items

from r2d2.runtime.cluster.roles.shard import ShardRole


def contents(shard: ShardRole) -> list[tuple[bytes, ...]]:
    """All items in an order that does not tell when they came: rows, state, priority, weights that acted."""
    ids, found = items(shard.replay)
    columns = [np.ascontiguousarray(column) for _, column in sorted(found["columns"].items())]
    rest = [found["core"], found["length"], found["burn_in"], found["lookahead"], found["priorities"]]
    acted = shard.ages.state_dict()["acted"][ids % shard.replay.capacity]
    return sorted(tuple(array[i].tobytes() for array in (*columns, *rest, acted)) for i in range(len(ids)))


def test_packets_written_together_make_the_items_of_packets_written_one_by_one(tmp_path: Path) -> None:
    """Three actors of different sizes, with weights of different ages, one of which is replaced on the way."""
    config = cluster(
        env__num_envs=7, cluster__actors=3, cluster__packet=5, replay__min_steps=10**9, replay__steps=5000
    )
    fleet = InlineFleet(config, tmp_path / "played")
    sent: list[dict[str, Any]] = []
    shard = fleet.shards[0]
    take = shard.add
    shard.add = lambda wire: (sent.append(wire), take(wire))[1]  # type: ignore[assignment, func-returns-value]
    for turn in range(14):
        fleet.actors[turn % 3].updates += turn % 4
        fleet.act()
        if turn == 8:
            fleet.actors[1].finish(1.0)
    at_once, late = (ShardRole(config, 0, tmp_path / name) for name in ("a", "b"))
    at_once._most_waiting, late._most_waiting = 0, 10**9
    for wire in sent:
        for role in (at_once, late):
            role.add(wire)
    assert len(late._replay) < 20  # nothing waits until there is something to learn from
    assert late._gather.rows > 300
    assert contents(late) == contents(at_once)
    assert len(contents(late)) > 60
    assert late._gather.rows == 0
    acted = late.ages.state_dict()["acted"][late.replay.items.places]
    assert len(set(acted.tolist())) > 3  # each step with the weights that it was made with
