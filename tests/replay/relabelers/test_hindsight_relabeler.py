"""Laws of hindsight: which goals a copy may have, what it then says, and that nothing stored is changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checkpoint_cases import same
from goal_twin import LONGEST, GoalWorld, columns, hindsight, outcome
from helpers import snapshot
from stream_twin import Sizes

from r2d2.replay import Column, Fifo, Hindsight, Proportional, Replay
from r2d2.replay.episodes import read_episode, stored_episodes
from r2d2.replay.kernels.table import NEW_ITEM
from r2d2.replay.relabelers.goals import GoalBank, Strategy

STREAMS = 3
TRANSITIONS = Sizes(0, 1, 1, 1, 0)
WINDOWS = Sizes(0, 1, 4, 1, 2)
SEQUENCES = Sizes(4, 6, 3, 3, 1)
EPISODES = Sizes(0, LONGEST, 1, LONGEST, 0)
CUTS = {"transitions": TRANSITIONS, "windows": WINDOWS, "sequences": SEQUENCES, "episodes": EPISODES}
STRATEGIES: tuple[Strategy, ...] = ("final", "future", "episode", "random")


def build(sizes: Sizes, strategy: Strategy, copies: int, **changes: Any) -> Replay:
    relabeler = hindsight(sizes, STREAMS, strategy, copies)
    capacity = 4000
    arguments: dict[str, Any] = {
        "selector": Proportional(capacity), "remover": Fifo(capacity), "capacity": capacity, "steps": 3000,
        "relabeler": relabeler, "sequencer": relabeler.sequencer, "core_size": 2, "block": 4,
    }  # fmt: skip
    return Replay(columns("raw", sizes.context), streams=STREAMS, **(arguments | changes))


def played(
    sizes: Sizes, strategy: Strategy, copies: int, rows: int = 150, **changes: Any
) -> tuple[GoalWorld, Replay, Any]:
    """A world, a replay of it, and all ids."""
    replay = build(sizes, strategy, copies, **changes)
    world = GoalWorld(sizes, STREAMS, strategy, np.random.default_rng(0))
    ids = np.concatenate([world.write(replay)[0] for _ in range(rows)])
    return world, replay, ids


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_copy_says_what_its_goal_makes_of_the_steps(strategy: Strategy, cut: str) -> None:
    """All rows of all items and copies, read by id, as a batch, and some columns alone."""
    copies = 1 if strategy == "final" else 3
    world, replay, ids = played(CUTS[cut], strategy, copies)
    flags = replay.relabeled(ids)
    batch = replay.get(ids)
    world.check(batch, flags)
    assert 100 < flags.sum() < len(ids) or cut == "episodes"
    drawn = replay.sample(64, np.random.default_rng(1))
    world.check(drawn, replay.relabeled(drawn.ids))
    alone = replay.get(ids, ["reward", "terminated"])
    assert alone.columns.keys() == {"reward", "terminated"}
    assert np.array_equal(alone.columns["reward"], batch.columns["reward"])


@pytest.mark.parametrize("cut", CUTS)
def test_every_item_of_a_finished_episode_has_its_copies(cut: str) -> None:
    world, replay, ids = played(CUTS[cut], "episode", 3)
    flags, batch = replay.relabeled(ids), replay.get(ids)
    trained = [
        (int(s), int(row + burn_in)) for (s, row), burn_in in zip(batch.core, batch.burn_in, strict=True)
    ]
    made = [name for name, copy in zip(trained, flags, strict=True) if copy]
    over = [
        key for key in world.cuts if key[1] <= max(end for (s, _), end in world.ends.items() if s == key[0])
    ]
    assert sorted(made) == sorted(over * 3)
    assert sorted(name for name, copy in zip(trained, flags, strict=True) if not copy) == sorted(world.cuts)


@pytest.mark.parametrize(("strategy", "first"), [("future", 5), ("episode", 1)])
def test_goals_are_drawn_evenly(strategy: Strategy, first: int) -> None:
    """Over the rows after step 4 of an episode of 12 actions, or over all but the first; chi-square."""
    relabeler = hindsight(TRANSITIONS, 1, strategy, 2000, core_size=0)
    item = np.zeros(1, NEW_ITEM)
    item["length"], item["lookahead"], item["number"] = 1, 1, 4
    achieved = np.arange(13, dtype=np.float32)[:, None].repeat(2, 1)
    _, goals = relabeler._copies(item, achieved)
    counts = np.bincount(goals[:, 0].astype(int), minlength=13)[first:]
    assert counts.sum() == 2000
    expected = 2000 / len(counts)
    assert ((counts - expected) ** 2 / expected).sum() < 30.0  # 11 degrees of freedom: 1 in 600


def test_random_goals_are_an_even_sample_of_all_ever_achieved() -> None:
    """Each of 12 goals is in a bank of 3 with probability 1/4."""
    counts = np.zeros(12)
    for seed in range(4000):
        rng, bank = np.random.default_rng(seed), GoalBank(3, 1)
        for part in np.split(np.arange(12, dtype=np.float32)[:, None], [2, 3, 8]):
            bank.add(part, rng)
        counts[bank._goals[:, 0].astype(int)] += 1
    assert counts.sum() == 12_000
    assert ((counts - 1000) ** 2 / 1000).sum() < 30.0


def test_a_copy_has_a_priority_of_its_own() -> None:
    """Where an original and its siblings have priority 0, the one copy that has not is all that is drawn."""
    _, replay, ids = played(TRANSITIONS, "future", 2, rows=40, selector=Proportional(4000, epsilon=0.0))
    copy = ids[replay.relabeled(ids)][7]
    replay.update_priorities(ids, (ids == copy).astype(float))
    batch = replay.sample(20, np.random.default_rng(0))
    assert set(batch.ids.tolist()) == {copy}


def test_what_is_stored_stays_as_it_was() -> None:
    """Reading copies changes neither an original that is read later nor a batch that was read before."""
    world, replay, ids = played(SEQUENCES, "future", 3)
    before = replay.get(ids)
    kept = {name: column.copy() for name, column in before.columns.items()}
    replay.get(ids[replay.relabeled(ids)])
    assert all(np.array_equal(kept[name], column) for name, column in before.columns.items())
    world.check(replay.get(ids), replay.relabeled(ids))


def test_a_draw_keeps_the_goals_that_it_was_made_with() -> None:
    """Items that are replaced between draw and result do not lend their goals to the batch."""
    world, replay, _ = played(
        TRANSITIONS, "future", 2, rows=60, capacity=120, remover=Fifo(120), selector=Proportional(120)
    )
    for seed in range(20):
        draw = replay.draw(32, np.random.default_rng(seed))
        flags = replay.relabeled(draw._batch.ids)
        for _ in range(15):
            world.write(replay)
        world.check(draw.result(), flags)


def test_copies_have_no_successors_and_break_no_chain() -> None:
    """Of refreshed states an item's successor is the next item that was played, whatever copies lie between."""
    _, replay, ids = played(SEQUENCES, "future", 2, linked=True)
    copies = replay.relabeled(ids)
    after = replay.successors(ids)
    assert (after[copies] == -1).all()
    linked = ids[after >= 0]
    assert len(linked) > 20
    first, then = replay.get(linked), replay.get(after[after >= 0])
    begin = first.core[:, 1] + first.burn_in  # first trained rows, `period` apart
    assert (then.core[:, 1] + then.burn_in - begin == SEQUENCES.period).all()
    assert not replay.relabeled(after[after >= 0]).any()


def test_a_saved_replay_goes_on_with_the_same_goals_in_mid_episode() -> None:
    for strategy in STRATEGIES:
        copies = 1 if strategy == "final" else 3
        world, replay, _ = played(SEQUENCES, strategy, copies, rows=100)
        again = build(SEQUENCES, strategy, copies)
        again.load_state_dict(snapshot(replay.state_dict()))
        for _ in range(60):
            one, other = world.write(replay, again)
            assert np.array_equal(one, other)
        batches = [vars(r.sample(50, np.random.default_rng(3))) for r in (replay, again)]
        assert same(*[batch | {"columns": dict(batch["columns"])} for batch in batches])


def test_an_episode_longer_than_announced_changes_nothing() -> None:
    replay = build(TRANSITIONS, "future", 2)
    row = {name: np.zeros((STREAMS, *c.shape), c.dtype) for name, c in replay.columns.items()}
    none, core = np.zeros(STREAMS, np.bool_), np.zeros((STREAMS, 2), np.float32)
    for _ in range(LONGEST + 1):
        replay.write(row, none, core=core)
    before = snapshot(replay.state_dict())
    with pytest.raises(ValueError, match="at most longest=12 actions, got more in stream 0: raise longest"):
        replay.write(row, none, core=core)
    assert same(before, snapshot(replay.state_dict()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"copies": 0}, "copies must be at least 1, got 0"),
        ({"longest": 0}, "longest must be at least 1, got 0"),
        ({"goal_size": 0}, "goal_size must be at least 1, got 0"),
        ({"strategy": "final"}, "copies must be 1 with strategy final.*got 4"),
    ],
)
def test_a_relabeler_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "goal_size": 2,
        "longest": 5,
        "outcome": outcome,
        "rng": np.random.default_rng(0),
    }
    with pytest.raises(ValueError, match=message):
        Hindsight(TRANSITIONS.sequencer(1), **(arguments | changes))


def test_a_replay_that_cannot_be_relabeled_is_refused() -> None:
    def parts(**changes: Column) -> dict[str, Column]:
        return columns("raw", 0) | changes

    def make(made: dict[str, Column], **changes: Any) -> None:
        relabeler = hindsight(TRANSITIONS, STREAMS, "future", 4)
        arguments: dict[str, Any] = {"capacity": 100, "sequencer": relabeler.sequencer, "core_size": 2}
        arguments |= changes
        Replay(made, streams=STREAMS, selector=Proportional(100), remover=Fifo(100), steps=300,
               relabeler=relabeler, **arguments)  # fmt: skip

    make(parts())
    without = parts()
    del without["terminated"]
    with pytest.raises(ValueError, match="for hindsight, got no terminated"):
        make(without)
    half = parts()
    del half["previous_action"]
    with pytest.raises(ValueError, match="both or none of previous_action and previous_reward"):
        make(half)
    for column in (Column((3,)), Column((6,), "uint8"), Column((2, 3))):
        with pytest.raises(ValueError, match="last 4 are the desired and the achieved goal of 2 each"):
            make(parts(observation=column))
    with pytest.raises(
        ValueError, match=r"capacity must be at least 48 items.*\(copies=4 .* 12 actions\), got 47"
    ):
        make(parts(), capacity=47)
    with pytest.raises(ValueError, match="made for the replay's own sequencer"):
        make(parts(), sequencer=TRANSITIONS.sequencer(STREAMS, 2))


def test_episodes_taken_elsewhere_are_those_that_were_played() -> None:
    """Copies add no episode, and an exported step has the goal and reward of its own."""
    world, replay, _ = played(SEQUENCES, "future", 3)
    episodes = stored_episodes(replay)
    assert len(episodes) == len(world.ends) + sum(twin.finished > 0 for twin in world.twins)
    for index in range(len(episodes)):
        columns = read_episode(replay, episodes, index)
        rows = columns["observation"][:, 1]
        assert (columns["observation"][:, 2:4] == -1).all()
        assert np.array_equal(columns["reward"], 50.0 + rows)
