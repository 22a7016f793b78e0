"""Laws of going on with other numbers of actors and shards: the same items come out, with their states, priorities
and ages, wherever their episodes had lost their beginnings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import Ending, Setup, play
from role_cases import InlineFleet, cluster

from r2d2.replay import Replay
from r2d2.runtime.cluster.roles.layout import Layout
from r2d2.runtime.cluster.roles.reshard import Stored, in_turn, reshard_checkpoint, write
from r2d2.runtime.cluster.roles.shard import ShardRole, shard_root
from r2d2.runtime.meter import Ages

SHAPES = [
    {}, {"burn_in": 0}, {"burn_in": 7, "period": 3}, {"burn_in": 6, "period": 6}, {"stack": 1},
    {"stack": 4, "burn_in": 2}, {"n_step": 1, "unroll": 4},
]  # fmt: skip


def fingerprints(replay: Replay, ages: Ages | None = None) -> dict[bytes, Any]:
    """Every item by its content (columns, states, sizes): its priority, and its ages if they are asked for."""
    places = replay.items.places
    ids = replay.items.ids(places)
    batch = replay.get(ids)
    values = replay.selector.values(places)
    found = {}
    told_of = None if ages is None else ages.state_dict()
    for i, place in enumerate(places.tolist()):
        sizes = (batch.burn_in[i], batch.length[i], batch.lookahead[i])
        first = replay.sequencer.burn_in - int(batch.burn_in[i])
        rows = {
            name: column[i, first + column.shape[1] - replay.sequencer.rows + replay.sequencer.context :]
            for name, column in sorted(batch.columns.items())
            if name not in ("truncated",)
        }
        key = b"".join(
            [np.array(sizes).tobytes(), batch.core[i].tobytes(), *(r.tobytes() for r in rows.values())]
        )
        told = None if told_of is None else (told_of["inserted"][place], told_of["acted"][place])
        found[key] = (float(values[i]), told)
    return found


def filled(setup: Setup, steps: int) -> tuple[Replay, Ages]:
    """A replay that was written and rated, with every episode ended."""
    replay = setup.replay()
    ages = Ages(replay.places)
    rng = np.random.default_rng(1)
    for t, ids in enumerate(play(setup.actor(setup.network()), replay, steps, cut_every=steps)):
        if len(ids):
            replay.update_priorities(ids, rng.uniform(0.1, 2.0, len(ids)))
            ages.insert(ids, updates=t, actor_updates=t // 2)
    return replay, ages


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("steps", [60, 400])
def test_the_same_items_come_out(shape: dict[str, Any], steps: int) -> None:
    """Also where the oldest were given up (400 steps of 3 streams, room for 150); few others come back."""
    setup = Setup(
        **shape, episodes=(Ending(31), Ending(47, truncated=True), Ending(2), Ending(1), Ending(12))
    )
    old, ages = filled(setup, steps)
    other = Setup(**shape, environments=5, steps=400)
    new = other.replay()
    new_ages = Ages(new.places)
    stored = Stored(old, ages)
    for turn, (one, index) in enumerate(in_turn([stored])):
        write(one.episode(index), new, turn % new.streams, new_ages, lambda ids: None)
    before, after = fingerprints(old, ages), fingerprints(new, new_ages)
    assert len(before) > 15
    assert before.keys() <= after.keys()
    assert all(after[key][1] == told for key, (_, told) in before.items())
    assert np.allclose([after[key][0] for key in before], [value for value, _ in before.values()], rtol=1e-9)
    back = len(after) - len(before)
    assert back <= 3 * (setup.burn_in // setup.period + 1)
    assert new.steps_written == int(stored.episodes.steps.sum())
    assert not new.sequencer.cutter.episode_row.any()


@pytest.mark.parametrize(("actors", "shards"), [(1, 1), (4, 2), (3, 3)])
def test_a_checkpoint_goes_on_with_other_numbers(actors: int, shards: int, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"env__num_envs": 4, "replay__steps": 800, "cluster__packet": 5}
    before = cluster(cluster__actors=2, cluster__shards=2, **changes)
    fleet = InlineFleet(before, tmp_path)
    fleet.shards = [ShardRole(before, i, shard_root(tmp_path, Layout(before), i)) for i in range(2)]
    for _ in range(14):
        fleet.act()
        fleet.learn()
    for shard in fleet.shards:
        shard.save(1)
    after = cluster(cluster__actors=actors, cluster__shards=shards, **changes)
    reshard_checkpoint(after, before, tmp_path, 1)
    olds = [ShardRole(before, i, shard_root(tmp_path, Layout(before), i), 1) for i in range(2)]
    news = [ShardRole(after, i, shard_root(tmp_path, Layout(after), i), 1) for i in range(shards)]
    theirs, ours = {}, {}
    for old in olds:
        theirs |= fingerprints(old.replay)  # type: ignore[arg-type]
    for new in news:
        ours |= fingerprints(new.replay)  # type: ignore[arg-type]
        assert len(new.replay) > 0
    assert len(theirs) > 30
    assert theirs.keys() <= ours.keys()
    assert np.allclose([ours[key][0] for key in theirs], [value for value, _ in theirs.values()], rtol=1e-9)
    assert [new.inserted for new in news] == [0] * shards  # the limiter has counted these steps already


def test_where_given_up_items_would_come_back_it_is_refused(tmp_path: Path) -> None:
    before = cluster(replay__remover="reservoir")
    with pytest.raises(ValueError, match=r"replay\.remover fifo or soft.*put cluster\.actors"):
        reshard_checkpoint(cluster(replay__remover="reservoir", cluster__actors=1), before, tmp_path, 1)
