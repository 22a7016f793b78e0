"""The law of growth: a replay that grows answers as one that had all its places from the beginning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checkpoint_cases import same
from helpers import snapshot

from r2d2.config.parts import REMOVERS, SELECTORS, load, make
from r2d2.replay import Column, Combined, Mixture, Remover, Replay, Selector, Sequencer
from r2d2.replay.removers.soft_fifo import SoftFifo

STREAMS, FIRST, MOST, STEPS, BATCH = 2, 8, 200, 60, 4
DRAWING = [*SELECTORS, *(f"combined-{name}" for name in SELECTORS)]
GROWING = [name for name in REMOVERS if name != "soft"]


def selector_of(name: str, capacity: int) -> Selector:
    settings = {"capacity": capacity, "alpha": 0.7, "refresh": 0.05, "decay": 0.2, "changing_alpha": True}
    made: Selector = make(SELECTORS, name.removeprefix("combined-"), settings)
    return Combined(made, capacity=capacity, streams=STREAMS) if name.startswith("combined-") else made


def replay_of(selector: str, remover: str, capacity: int, most: int | None = MOST, **options: Any) -> Replay:
    drawing = selector_of(selector, capacity)
    rng = np.random.default_rng(7)
    settings = {"capacity": capacity, "selector": drawing, "rng": rng, "soft": capacity // 2, "period": 3}
    leaving: Remover = make(REMOVERS, remover, settings)
    sequencer = Sequencer(STREAMS, burn_in=2, unroll=4, n_step=1, period=4, core_size=2)
    return Replay(
        {"stamp": Column((2,), "int32")},
        streams=STREAMS,
        sequencer=sequencer,
        selector=drawing,
        remover=leaving,
        capacity=capacity,
        max_capacity=most,
        steps=STEPS,
        block=4,
        core_size=2,
        linked=True,
        **options,
    )


class Player:
    """Writes the same short episodes into replays, draws from them and gives the same priorities."""

    def __init__(self, *replays: Replay | Mixture) -> None:
        self.replays, self.rng = list(replays), np.random.default_rng(3)
        self.row, self.age = 0, np.zeros(STREAMS, np.int64)

    def play(self, steps: int) -> None:
        for _ in range(steps):
            last = (self.age > 0) & (self.rng.random(STREAMS) < 0.5)
            self.age = np.where(last, 0, self.age + 1)
            stamp = np.array([[stream, self.row] for stream in range(STREAMS)], np.int32)
            self.row += 1
            written = [r.write({"stamp": stamp}, last, core=stamp.astype(np.float32)) for r in self.replays]
            for ids in written[1:]:
                np.testing.assert_array_equal(ids, written[0])
            if len(self.replays[0]):
                self.draw()

    def draw(self) -> None:
        seed, priorities = int(self.rng.integers(2**31)), self.rng.random(BATCH)
        batches = [r.sample(BATCH, np.random.default_rng(seed), beta=0.5) for r in self.replays]
        for replay, batch in zip(self.replays, batches, strict=True):
            np.testing.assert_array_equal(batch.ids, batches[0].ids)
            np.testing.assert_array_equal(batch.columns["stamp"], batches[0].columns["stamp"])
            np.testing.assert_array_equal(batch.core, batches[0].core)
            np.testing.assert_allclose(batch.weight, batches[0].weight, rtol=1e-6)
            np.testing.assert_array_equal(replay.successors(batch.ids), self.replays[0].successors(batch.ids))
            replay.update_priorities(batch.ids, priorities)
            assert len(np.unique(replay.places(np.unique(batch.ids)))) == len(np.unique(batch.ids))


@pytest.mark.parametrize("remover", GROWING)
@pytest.mark.parametrize("selector", DRAWING)
def test_a_replay_that_grows_is_as_one_that_was_large_from_the_beginning(selector: str, remover: str) -> None:
    small, large = replay_of(selector, remover, FIRST), replay_of(selector, remover, MOST)
    Player(small, large).play(150)
    assert FIRST < small.capacity < large.capacity == MOST
    assert small.rows == large.rows >= STEPS


@pytest.mark.parametrize("remover", GROWING)
@pytest.mark.parametrize("selector", DRAWING)
def test_a_grown_replay_is_saved_and_resumed(selector: str, remover: str) -> None:
    """Into one that has not grown yet; from there on both answer alike."""
    grown, new = replay_of(selector, remover, FIRST), replay_of(selector, remover, FIRST)
    player = Player(grown)
    player.play(40)
    assert grown.capacity > FIRST
    new.load_state_dict(snapshot(grown.state_dict()))
    assert new.capacity == grown.capacity
    assert same(new.state_dict(), grown.state_dict())
    player.replays.append(new)
    player.play(80)


def test_ids_given_out_before_the_growth_stay_valid() -> None:
    """Their priorities arrive, and their steps are read."""
    replay = replay_of("proportional", "fifo", FIRST)
    player = Player(replay)
    while replay.capacity == FIRST:
        ids = replay.items.ids(replay.items.places)
        before = replay.get(ids)
        player.play(1)
    held = ids[replay.holds(ids)]
    assert len(held) >= FIRST - 1
    after = replay.get(held)
    for i, name in enumerate(held.tolist()):
        j = ids.tolist().index(name)
        np.testing.assert_array_equal(after.columns["stamp"][i], before.columns["stamp"][j])
    late = replay.late_updates
    replay.update_priorities(held, np.full(len(held), 5.0))
    assert replay.late_updates == late


def test_a_soft_limit_stays_a_number_of_items() -> None:
    remover = SoftFifo(FIRST, soft=FIRST - 1, period=2)
    remover.grow(MOST)
    remover.insert(np.arange(FIRST + 3))
    remover.updated(1)
    np.testing.assert_array_equal(remover.updated(1), np.arange(4))


@pytest.mark.parametrize("capacity", [FIRST, MOST])
def test_a_state_from_before_replays_grew_is_taken_and_stays_as_large(capacity: int) -> None:
    """Its ids are counted by its capacity."""
    old, new = replay_of("uniform", "fifo", capacity, most=None), replay_of("uniform", "fifo", capacity)
    player = Player(old)
    player.play(60)
    state = snapshot(old.state_dict())
    del state["items"]["most"]
    new.load_state_dict(state)
    player.replays.append(new)
    player.play(60)
    assert new.capacity == old.capacity == capacity
    again = replay_of("uniform", "fifo", capacity)
    again.load_state_dict(snapshot(new.state_dict()))
    assert same(again.state_dict(), new.state_dict())


def test_a_state_of_other_limits_is_refused() -> None:
    other = replay_of("uniform", "fifo", FIRST, most=MOST + 1)
    with pytest.raises(ValueError, match=rf"items\.most must be {MOST}, got {MOST + 1}"):
        replay_of("uniform", "fifo", FIRST).load_state_dict(other.state_dict())


@pytest.mark.parametrize("most", [FIRST - 1, 2.5, True])
def test_a_bad_limit_is_refused(most: Any) -> None:
    with pytest.raises(ValueError, match="max_capacity"):
        replay_of("uniform", "fifo", FIRST, most=most)


def test_the_replays_of_a_mixture_grow() -> None:
    def mixture(capacity: int) -> Mixture:
        parts = [replay_of("proportional", name, capacity) for name in ("fifo", "reservoir")]
        return Mixture(parts, [0.5, 0.5])

    small, large = mixture(FIRST), mixture(MOST)
    player = Player(small, large)
    player.play(60)
    assert 2 * FIRST < small.capacity < large.capacity
    new = mixture(FIRST)
    new.load_state_dict(snapshot(small.state_dict()))
    player.replays.append(new)
    player.play(60)


@pytest.mark.parametrize("name", [*SELECTORS, *REMOVERS])
def test_every_part_can_grow(name: str) -> None:
    assert callable(load(SELECTORS if name in SELECTORS else REMOVERS, name).grow)
