"""Laws of a cluster's roles, without a cluster: what is sent is what arrives, once, in order, and nothing is
learned or inserted that the replay ratio does not ask for."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import Ending, ScriptedEnvironments, Setup
from role_cases import CONTROL, InlineFleet, cluster, items, replays_differ
from run_cases import new_run, tiny

from r2d2.agent.actor import Actor
from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.runtime.cluster.roles.layout import Layout
from r2d2.runtime.cluster.roles.limiter import ClusterLimiter, slack
from r2d2.runtime.cluster.roles.packet import Encoder, Packet, Step, decode, wire_bytes
from r2d2.runtime.cluster.roles.tail import Tail

UNTRAINED = {"replay__min_steps": 10**9}  # weights that never change


# -- who has which environments ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environments", "actors", "shards"), [(1, 1, 1), (7, 3, 2), (64, 5, 5), (256, 256, 3)]
)
def test_every_environment_has_one_actor_and_one_stream(environments: int, actors: int, shards: int) -> None:
    config = cluster(env__num_envs=environments, cluster__actors=actors, cluster__shards=shards)
    layout = Layout(config)
    assert list(itertools.chain(*(layout.slots(i) for i in range(actors)))) == list(range(environments))
    for shard in range(shards):
        streams = [
            layout.first_stream[i] + k
            for i in range(actors)
            if layout.shard_of(i) == shard
            for k in range(len(layout.slots(i)))
        ]
        assert sorted(streams) == list(range(layout.streams(shard)))
    assert sum(layout.streams(shard) for shard in range(shards)) == environments


def test_more_actors_than_environments_and_more_shards_than_actors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"cluster\.actors must be at most env\.num_envs=2, got 3"):
        Layout(cluster(env__num_envs=2, cluster__actors=3))
    with pytest.raises(ValueError, match=r"cluster\.shards must be at most cluster\.actors=2, got 3"):
        Layout(cluster(env__num_envs=4, cluster__actors=2, cluster__shards=3))
    with pytest.raises(ValueError, match=r"replay\.normalize buffer needs one shard, got cluster\.shards=2"):
        Layout(cluster(env__num_envs=4, cluster__shards=2, replay__normalize="buffer"))


# -- packets -----------------------------------------------------------------------------------------------


def played(setup: Setup, steps: int) -> list[Step]:
    actor = setup.actor(setup.network())
    return [Step(actor.step(), 10 * t) for t in range(steps)]


@pytest.mark.parametrize("life_loss", ["none", "reset"])
@pytest.mark.parametrize("pixels", [False, True])
def test_a_packet_arrives_as_it_was_sent_but_for_states_that_no_item_needs(
    pixels: bool, life_loss: Any
) -> None:
    setup = Setup(
        life_loss=life_loss, shape=(42, 42) if pixels else (3,), dtype="uint8" if pixels else "float32"
    )
    steps = played(setup, 60)
    encoder = Encoder(3, setup.burn_in, setup.period, {"observation": "lz4"} if pixels else {})
    there = decode(encoder.encode(Packet(2, 77, 5, steps, cut=True)))
    assert (there.actor, there.session, there.number, there.cut) == (2, 77, 5, True)
    assert [step.updates for step in there.steps] == [10 * t for t in range(60)]
    assert [len(step.rows) for step in there.steps] == [len(step.rows) for step in steps]
    assert there.env_steps == sum(int((~rows.last).sum()) for step in steps for rows in step.rows)
    sent = [rows for step in steps for rows in step.rows]
    for a, b in zip(sent, (rows for step in there.steps for rows in step.rows), strict=True):
        assert np.array_equal(a.streams, b.streams)
        assert np.array_equal(a.last, b.last)
        for name, column in a.values.items():
            assert column.dtype == b.values[name].dtype
            assert np.array_equal(column, b.values[name])


@pytest.mark.parametrize(("burn_in", "period"), [(4, 4), (7, 3), (0, 5), (3, 6)])
def test_states_travel_only_where_an_item_begins(burn_in: int, period: int) -> None:
    """One row of each period, also when the burn-in is no multiple of it; the items that a replay makes of either
    are the same, and so are the states that they begin with."""
    setup = Setup(burn_in=burn_in, period=period, episodes=(Ending(41), Ending(63)), steps=1000)
    steps = played(setup, 100)
    encoder = Encoder(3, setup.burn_in, setup.period, {})
    wire = encoder.encode(Packet(0, 0, 0, steps))
    assert 1 / period <= wire["wanted"].mean() < 1 / period + 0.05
    ours, theirs = setup.replay(), setup.replay()
    for replay, given in ((ours, steps), (theirs, decode(wire).steps)):
        for step in given:
            for rows in step.rows:
                replay.write(rows.values, rows.last, streams=rows.streams, core=rows.core)
    assert len(ours) > 30
    assert replays_differ(ours, theirs) == []


def test_an_encoder_goes_on_where_the_packet_before_ended() -> None:
    """Cut anywhere, packets carry the same states as one long one."""
    setup = Setup()
    steps = played(setup, 50)
    whole = Encoder(3, setup.burn_in, setup.period, {}).encode(Packet(0, 0, 0, steps))
    encoder = Encoder(3, setup.burn_in, setup.period, {})
    parts = [encoder.encode(Packet(0, 0, i, steps[k : k + 7])) for i, k in enumerate(range(0, 50, 7))]
    pieces = [rows for wire in parts for step in decode(wire).steps for rows in step.rows]
    for a, b in zip(pieces, (r for step in decode(whole).steps for r in step.rows), strict=True):
        assert np.array_equal(a.core, b.core)


def test_frames_travel_compressed() -> None:
    """Still frames, 40 a packet: far below their size, and the count says so."""
    setup = Setup(shape=(42, 42), dtype="uint8")
    steps = played(setup, 40)
    for step in steps[1:]:
        for rows in step.rows:
            rows.values["observation"][:] = steps[0].rows[0].values["observation"][rows.streams]  # type: ignore
    raw = Encoder(3, 4, 4, {}).encode(Packet(0, 0, 0, steps))
    lz4 = Encoder(3, 4, 4, {"observation": "lz4"}).encode(Packet(0, 0, 0, steps))
    assert wire_bytes(raw) > 40 * 3 * 42 * 42
    assert wire_bytes(lz4) < wire_bytes(raw) / 5


# -- an actor that is lost ---------------------------------------------------------------------------------


@pytest.mark.parametrize("life_loss", ["none", "reset"])
@pytest.mark.parametrize("steps", [*range(1, 12), 31, 32, 33])
def test_what_a_lost_actor_sent_is_kept_as_episodes_that_were_cut(steps: int, life_loss: Any) -> None:
    """At any moment: every step but the last ones is as it was played; running episodes are truncations whose
    last observation is the one that arrived last."""
    setup = Setup(life_loss=life_loss, steps=1000)
    actor = setup.actor(setup.network())
    environments: ScriptedEnvironments = actor.environments  # type: ignore[assignment]
    replay, tail = setup.replay(), Tail()
    for t in range(steps):
        write(replay, tail.push([Step(actor.step(), t)], cut=False))
    truth = {slot: flat(environments, slot) for slot in range(3)}
    write(replay, tail.close())
    assert tail.close() == []
    assert not replay.sequencer.cutter.episode_row.any()  # no episode is under construction
    kept = replay.steps_written
    assert sum(len(t) for t in truth.values()) - 3 <= kept <= sum(len(t) for t in truth.values())
    for step in played(setup, 40):  # whatever comes next is taken
        for rows in step.rows:
            replay.write(rows.values, rows.last, streams=rows.streams, core=rows.core)


def flat(environments: ScriptedEnvironments, slot: int) -> list[float]:
    return [reward for episode in environments.played[slot] for reward in episode.rewards]


def write(replay: Any, steps: list[Step]) -> None:
    for step in steps:
        for rows in step.rows:
            replay.write(rows.values, rows.last, streams=rows.streams, core=rows.core)


def test_a_truncated_tail_bootstraps_from_the_last_observation_that_arrived() -> None:
    setup = Setup(environments=1, episodes=(Ending(50),), steps=1000, shape=(3,))
    actor: Actor = setup.actor(setup.network())
    tail, replay = Tail(), setup.replay()
    sent = [Step(actor.step(), 0) for _ in range(9)]
    write(replay, tail.push(sent, cut=False))
    closed = tail.close()
    before, final = closed[0].rows[0], closed[1].rows[0]
    assert before.values["truncated"].all()
    assert not before.values["terminated"].any()
    assert before.values["reward"] == sent[7].rows[0].values["reward"]
    assert final.last.all()
    assert final.values["reward"] == 0
    assert np.array_equal(final.values["observation"], sent[8].rows[0].values["observation"])
    assert final.values["q_greedy"] == sent[8].rows[0].values["q_greedy"]
    assert not sent[7].rows[0].values["truncated"].any()  # the sender's own rows are left alone


def test_a_step_that_ended_the_task_is_not_a_truncation_as_well() -> None:
    """Where a lost life is terminal and the episode goes on, the step before the last may be one."""
    setup = Setup(environments=1, episodes=(Ending(50),), steps=1000, shape=(3,))
    actor, tail = setup.actor(setup.network()), Tail()
    sent = [Step(actor.step(), 0) for _ in range(4)]
    sent[2].rows[0].values["terminated"][:] = True
    tail.push(sent, cut=False)
    before = tail.close()[0].rows[0]
    assert before.values["terminated"].all()
    assert not before.values["truncated"].any()


# -- the replay ratio --------------------------------------------------------------------------------------


def test_the_steps_of_a_lost_process_stay_counted_and_its_successor_counts_on() -> None:
    limiter = ClusterLimiter(tiny(), 2)
    limiter.report(0, 1, 100, 0)
    limiter.report(1, 2, 50, 0)
    limiter.report(0, 1, 160, 0)
    assert limiter.inserted == 210
    assert limiter.elsewhere(0) == 50
    limiter.report(0, 3, 90, 80)  # another process, from a checkpoint with 80, 10 steps later
    assert limiter.inserted == 220
    limiter.report(0, 3, 95, 80)
    assert limiter.inserted == 225
    saved = limiter.state_dict()
    limiter.report(1, 2, 70, 0)
    again = ClusterLimiter(tiny(), 2)
    again.load_state_dict(saved)
    again.report(1, 2, 70, 0)
    assert again.inserted == limiter.inserted == 245
    fewer = ClusterLimiter(tiny(), 1)
    fewer.load_state_dict(saved)
    fewer.report(0, 9, 5, 0)
    assert fewer.inserted == 230


@pytest.mark.parametrize(("actors", "shards", "ratio"), [(1, 1, 2.0), (4, 2, 0.5), (3, 3, 8.0)])
def test_the_replay_ratio_is_kept_over_all_shards(
    actors: int, shards: int, ratio: float, tmp_path: Path
) -> None:
    """Trained steps are never ahead, and behind by less than the slack, whoever is faster."""
    config = cluster(
        env__num_envs=4, cluster__actors=actors, cluster__shards=shards, replay__replay_ratio=ratio,
        cluster__packet=5, replay__steps=4000,
    )  # fmt: skip
    for actor_turns, learner_turns in ((4, 1), (1, 2)):
        fleet = InlineFleet(config, tmp_path / f"{actor_turns}")
        for _ in range(15):
            for _ in range(actor_turns):
                fleet.act()
            for _ in range(learner_turns):
                fleet.learn()
            inserted = sum(shard.inserted for shard in fleet.shards)
            owed = ratio * (inserted - config.replay.min_steps) - fleet.learner.limiter.trained
            assert owed <= slack(config)
            assert fleet.learner.limiter.trained == 0 or owed >= -ratio
        assert fleet.learner.learner.updates > 2
        for _ in range(15):
            fleet.act()  # while nobody learns
        inserted = sum(shard.inserted for shard in fleet.shards)
        owed = ratio * (inserted - config.replay.min_steps) - fleet.learner.limiter.trained
        batch, packets = 4 * 8, 5 * -(-4 // actors) * actors
        assert owed <= (config.cluster.slack + 1) * batch + 2 * ratio * packets  # one of each on its way
        fleet.act()
        assert inserted == sum(shard.inserted for shard in fleet.shards)


# -- local and cluster are the same ------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["cartpole", "pong", "pong, frozen context", "pendulum"])
@pytest.mark.parametrize("packet", [1, 7])
def test_one_actor_inserts_the_items_of_the_local_run(case: str, packet: int, tmp_path: Path) -> None:
    """Same steps, same cuts, same states, same priorities, bit for bit, while the weights are the same."""
    changes: dict[str, Any] = {
        "env__num_envs": 3,
        "run__steps": 300,
        "run__checkpoint_period": 10_000,
        **UNTRAINED,
    }
    if case == "pendulum":
        changes |= CONTROL | {
            "actor__random_steps": 0
        }  # the packets of a cluster say late how many there were
    if case == "pong, frozen context":
        changes |= {"network__context": "frozen", "network__context_features": 6}
    if "pong" in case:
        changes |= {"env__id": "ALE/Pong-v5", "env__options": {"max_frames": 240}, "run__steps": 120}
    local = new_run(tiny(**changes), tmp_path / "local")
    local.train()
    fleet = InlineFleet(cluster(cluster__actors=1, cluster__packet=packet, **changes), tmp_path / "cluster")
    role = fleet.actors[0]
    while role.actor.steps + 2 * 3 <= local.config.run.steps:
        role._act()
    role.finish(10.0)
    shard = fleet.shards[0].replay
    assert role.actor.steps == local.actor.steps
    assert len(shard) == len(local.replay) > 20
    assert replays_differ(shard, local.replay) == []


def test_a_policy_is_learned_over_shards(tmp_path: Path) -> None:
    """Actors record, shards draw, the learner's critics and policy move, and its checkpoint goes on."""
    config = cluster(cluster__actors=2, cluster__shards=2, **{**CONTROL, "replay__min_steps": 30})
    fleet = InlineFleet(config, tmp_path)
    before = {name: value.clone() for name, value in fleet.learner.learner.network.state_dict().items()}
    for _ in range(12):
        fleet.act()
        fleet.learn()
    assert fleet.learner.learner.updates > 3
    after = fleet.learner.learner.network.state_dict()
    assert all(not torch.equal(before[name], value) for name, value in after.items())
    fleet.learner.save(1, {"actor": {"steps": 100}})
    again = InlineFleet(config, tmp_path)
    assert again.learner.learner.updates == fleet.learner.learner.updates
    restored = again.learner.learner.network.state_dict()
    assert all(torch.equal(restored[name], value) for name, value in after.items())


def test_environments_have_their_seeds_whoever_runs_them(tmp_path: Path) -> None:
    """Environment i begins the same episode in any number of actors."""
    first = []
    for actors in (1, 2, 4):
        config = cluster(env__num_envs=4, cluster__actors=actors, **UNTRAINED)
        fleet = InlineFleet(config, tmp_path / str(actors))
        first.append(np.concatenate([role.actor.state.observation["observation"] for role in fleet.actors]))
    assert np.array_equal(first[0], first[1])
    assert np.array_equal(first[0], first[2])


@pytest.mark.parametrize("shards", [1, 2])
def test_whole_episodes_with_a_linear_core_are_trained_over_all_shards(shards: int, tmp_path: Path) -> None:
    """Items are whole episodes, a batch is as many as make its steps, the rate falls with the run's steps."""
    asked = cluster(
        env__id="Recall-v0", env__options={"delay": 5}, network__core="lru", network__stack=1,
        replay__initial_state="episode", learner__batch=2, learner__batch_steps=32, learner__learning_rate_end=0.0,
        learner__target_averaging=0.1, cluster__actors=2, cluster__shards=shards, run__steps=400,
    )  # fmt: skip
    config = build.resolved(asked, environments.spec(asked))
    assert (config.replay.unroll, config.learner.batch) == (8, 4)
    fleet = InlineFleet(config, tmp_path)
    for _ in range(6):
        fleet.act()
        fleet.learn()
    learner = fleet.learner.learner
    assert learner.updates > 5
    expected = build.learning_rate(config, fleet.learner.limiter.inserted)
    (group,) = learner.optimizer.param_groups
    assert expected <= group["lr"] < config.learner.learning_rate
    for shard in fleet.shards:
        ids, state = items(shard.replay)
        assert len(ids) > 5
        assert not state["core"].any()
        assert set(state["length"]) <= set(range(1, 8))
