"""Laws of losses between roles, without a cluster: what was sent is kept once, and whoever comes back goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from role_cases import InlineFleet, cluster, items, replays_differ
from run_cases import differences

from r2d2.runtime.cluster.roles.acting import ActorRole
from r2d2.runtime.cluster.roles.learning import LearnerRole
from r2d2.runtime.cluster.roles.messages import Feedback, Request

CALM: dict[str, Any] = {"replay__min_steps": 10**9, "cluster__packet": 5, "replay__steps": 2000}


def fleet_of(folder: Path, **changes: Any) -> InlineFleet:
    return InlineFleet(cluster(**CALM | changes), folder)


def test_a_packet_whose_receipt_was_lost_is_sent_again_and_kept_once(tmp_path: Path) -> None:
    whole, torn = (fleet_of(tmp_path / name, cluster__actors=1) for name in ("a", "b"))
    for turn in range(12):
        if turn % 3 == 0:
            torn.actors[0].port.lose = 2  # type: ignore[attr-defined]
        whole.act()
        torn.act()
    assert torn.shards[0].counts["repeated"] == 8
    assert torn.shards[0].inserted == whole.shards[0].inserted
    assert replays_differ(torn.shards[0].replay, whole.shards[0].replay) == []


def test_a_packet_after_a_gap_is_refused_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    """A stream with a hole in it would be an episode that never was: its actor is asked to begin anew."""
    fleet = fleet_of(tmp_path, cluster__actors=1)
    fleet.act()
    shard, actor = fleet.shards[0], fleet.actors[0]
    before, actor._number = shard.inserted, actor._number + 1  # the packet between was lost
    fleet.act()
    assert shard.counts["refused"] == 1
    assert shard.inserted == before
    assert actor.missing == 5 * 2
    fleet.act()
    assert shard.inserted == before + 5 * 2
    actor._number += 1
    actor.port.lose = 10**6  # type: ignore[attr-defined]
    for _ in range(5 + 5 + 3):  # two packets wait, and a third is begun: all of it is given up
        actor._act()
    actor.port.lose = 0  # type: ignore[attr-defined]
    actor._settle(0.0)
    assert actor.missing == actor.actor.steps - shard.inserted > 30
    assert not actor._unsent


def test_a_new_actor_costs_the_old_ones_unsent_steps_and_nothing_else(tmp_path: Path) -> None:
    """What it had sent is trained on; its episodes end there, and its successor begins others."""
    fleet = fleet_of(tmp_path, cluster__actors=1)
    for _ in range(6):
        fleet.act()
    shard, dead = fleet.shards[0], fleet.actors[0]
    for _ in range(3):
        dead._act()  # of a packet that never leaves
    sent = shard.inserted
    assert dead.actor.steps - sent <= 3 * 2
    fleet.actors[0] = ActorRole(fleet.config, 0, dead.port, fresh=False)
    assert not np.array_equal(
        fleet.actors[0].actor.state.observation["observation"], dead.actor.state.observation["observation"]
    )
    for _ in range(6):
        fleet.act()
    assert shard.inserted == sent + fleet.actors[0].actor.steps
    held = sum(int((~rows.last).sum()) for step in shard.feeds[0].tail._steps for rows in step.rows)
    assert shard.inserted - shard.replay.steps_written - held <= 2  # an action each whose outcome never came
    assert shard.counts["refused"] == 0


def test_a_new_shard_goes_on_from_its_checkpoint_and_asks_for_new_episodes(tmp_path: Path) -> None:
    fleet = fleet_of(tmp_path, cluster__actors=2)
    for _ in range(5):
        fleet.act()
    old = fleet.shards[0]
    old.save(1)
    saved = items(old.replay)[1]
    for _ in range(3):
        fleet.act()
    assert len(old.replay) > len(saved["priorities"])
    new = fleet.shards[0] = fleet.make_shard(0)
    assert new.inserted == new.began_with < old.inserted
    again = items(new.replay)[1]
    count = len(saved["priorities"])
    assert len(again["priorities"]) >= count  # and those that the cut episodes ended with
    # Nothing is held back: all that was saved is stored, but for an action each whose outcome never came.
    assert new.inserted - len(fleet.actors) <= new.replay.steps_written <= new.inserted
    again["columns"] = {name: column[:count] for name, column in again["columns"].items()}
    kept = {name: value if name == "columns" else value[:count] for name, value in again.items()}
    assert differences(kept, saved) == []
    before = new.inserted
    for _ in range(4):
        fleet.act()
    assert new.counts["refused"] >= 2
    assert all(role.missing > 0 for role in fleet.actors)
    assert new.inserted > before
    assert not any(feed.session is None for feed in new.feeds.values())


def test_feedback_for_a_dead_shard_is_ignored_and_counted(tmp_path: Path) -> None:
    fleet = fleet_of(tmp_path, cluster__actors=1)
    for _ in range(8):
        fleet.act()
    shard = fleet.shards[0]
    before = shard.replay.priorities()
    ids = np.array([10**12, 10**12 + 1])
    feedback = Feedback(shard.incarnation + 1, ids, np.array([1e9, 1e9]))
    shard.exchange(Request(0, 0.6, 1, 0, 0, [feedback]))
    assert np.array_equal(shard.replay.priorities(), before)
    assert shard.status()["late_updates"] == 2


def test_refreshed_states_reach_the_items_after_those_that_were_trained(tmp_path: Path) -> None:
    fleet = fleet_of(tmp_path, cluster__actors=1, replay__initial_state="refreshed", network__core="lstm")
    for _ in range(8):
        fleet.act()
    shard = fleet.shards[0]
    ids = np.sort(shard.replay.items.ids(shard.replay.items.places))
    after = shard.replay.successors(ids)
    ids, after = ids[after >= 0][:2], after[after >= 0][:2]
    before = shard.replay.get(after).core
    refreshed = before + np.array([[1.0], [2.0]], np.float32)
    last = int(shard.replay.items.ids(shard.replay.items.places).max())  # it has no successor yet
    told = np.append(ids, last), np.concatenate([refreshed, refreshed[:1]])
    shard.exchange(Request(0, 0.6, 1, 0, 0, [Feedback(shard.incarnation, told[0], np.ones(3), told[1])]))
    assert np.array_equal(shard.replay.get(after).core, refreshed)


def test_a_new_learner_has_the_weights_and_counts_of_the_checkpoint(tmp_path: Path) -> None:
    """Updates after it are made again: the ratio holds for the weights that there are."""
    fleet = fleet_of(tmp_path, cluster__actors=1, replay__min_steps=40, replay__replay_ratio=4.0)
    for _ in range(10):
        fleet.act()
        fleet.learn()
    learner = fleet.learner
    learner.save(1, {"actor": {"steps": 0}})
    saved = learner.weights()
    for _ in range(8):
        fleet.act()
        fleet.learn()
    assert learner.learner.updates > 10
    new = fleet.learner = LearnerRole(fleet.config, fleet.port, tmp_path / "checkpoints")
    fleet.port.asked.clear()
    assert differences(new.weights(), saved) == []
    assert new.learner.updates < learner.learner.updates
    fleet.learn()
    assert new.limiter.trained > learner.limiter.trained - 4 * 8  # to within a batch
    assert fleet.learner.limiter.inserted == learner.limiter.inserted == fleet.shards[0].inserted


@pytest.mark.parametrize("how", ["away", "dead"])
def test_learning_goes_on_without_a_shard_that_does_not_answer(how: str, tmp_path: Path) -> None:
    fleet = fleet_of(
        tmp_path, cluster__actors=2, cluster__shards=2, replay__min_steps=40, replay__replay_ratio=8.0
    )
    for _ in range(8):
        fleet.act()
    fleet.learner.train(0.05)
    for _ in range(8):  # more than it has made in that time
        fleet.act()
    getattr(fleet.port, how).add(1)
    before = fleet.learner.learner.updates
    fleet.learner.train(1.5)  # above the patience
    assert fleet.learner.learner.updates > before
    getattr(fleet.port, how).clear()
    fleet.learner.train(0.2)
    asked = len(fleet.port.requests)
    fleet.learner.train(0.2)
    assert {shard for shard, _ in fleet.port.requests[asked:]} == {0, 1}


def test_refused_weights_leave_the_actor_with_those_it_has(tmp_path: Path) -> None:
    """The learner that published them is gone, and they with it."""
    fleet = fleet_of(
        tmp_path,
        cluster__actors=1,
        replay__min_steps=40,
        replay__replay_ratio=4.0,
        actor__actor_update_period=5,
    )
    for _ in range(15):
        fleet.act()
        fleet.learn()
    role = fleet.actors[0]
    assert role.updates > 0
    lost = role.updates

    def gone(handle: Any) -> dict[str, Any]:
        from r2d2.runtime.cluster.roles.messages import Lost

        raise Lost("its owner died")

    role.port.fetch = gone  # type: ignore[method-assign]
    for _ in range(6):
        fleet.act()
        fleet.learn()
    assert role.updates == lost
    assert fleet.learner.learner.updates > lost
