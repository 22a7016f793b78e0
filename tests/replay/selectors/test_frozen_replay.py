"""The law of frozen replays: they give their share, learn priorities, and are never written, emptied or saved."""

from __future__ import annotations

import numpy as np
import pytest
from checkpoint_cases import same
from helpers import snapshot
from numpy.typing import NDArray

from r2d2.replay import Column, Fifo, Mixture, Proportional, Replay, Sequencer

COLUMNS = {"stamp": Column((), "int32")}
STREAMS = 2
SHOWN = 40  # rows of each stream of the frozen replay


def part(capacity: int, *, linked: bool = False) -> Replay:
    sequencer = Sequencer(STREAMS, burn_in=1, unroll=2, n_step=1, period=2, core_size=1)
    return Replay(
        COLUMNS, streams=STREAMS, sequencer=sequencer, selector=Proportional(capacity, alpha=1.0, epsilon=0.0),
        remover=Fifo(capacity), capacity=capacity, steps=2000, block=5, core_size=1, linked=linked,
    )  # fmt: skip


def write(replay: Mixture | Replay, steps: int, start: int = 0) -> NDArray[np.int64]:
    """Rows stamped 2 t and 2 t + 1; every ninth is the last of an episode."""
    ids = []
    for t in range(start, start + steps):
        stamp = np.array([2 * t, 2 * t + 1], np.int32)
        last = np.full(STREAMS, t % 9 == 8)
        ids.append(replay.write({"stamp": stamp}, last, core=stamp[:, None].astype(np.float32)))
    return np.concatenate(ids)


def mixture(*, linked: bool = False, shown: int = SHOWN) -> Mixture:
    demonstrations = part(50, linked=linked)
    write(demonstrations, shown, 5000)
    return Mixture([part(20, linked=linked), demonstrations], [0.75, 0.25], frozen=1)


def test_a_frozen_replay_keeps_every_item_and_gives_its_share_of_every_batch() -> None:
    replay = mixture()
    before = snapshot(replay.frozen[0].state_dict())
    assert not replay.ready, "nothing of its own: a batch would be demonstrations alone"
    ids = write(replay, 400)
    assert replay.ready
    assert not replay.frozen_items(ids).any()
    assert same(snapshot(replay.frozen[0].state_dict()), before)
    rng = np.random.default_rng(0)
    for _ in range(20):
        batch = replay.sample(8, rng)
        shown = replay.frozen_items(batch.ids)
        assert shown.tolist() == [False] * 6 + [True] * 2
        assert ((batch.columns["stamp"][:, 1] >= 10_000) == shown).all()
    replay.clear()
    assert len(replay) == len(replay.frozen[0]) > 0
    assert not replay.ready


def test_priorities_of_frozen_items_are_updated_and_decide_what_is_drawn() -> None:
    replay = mixture()
    write(replay, 100)
    frozen = replay.frozen[0]
    ids = replay.numbering.outer(1, frozen.items.ids(frozen.items.places))
    assert replay.frozen_items(ids).all()
    replay.update_priorities(ids, np.where(np.arange(len(ids)) == 3, 1.0, 0.0))
    batch = replay.sample(8, np.random.default_rng(0))
    assert set(batch.ids[6:].tolist()) == {int(ids[3])}
    np.testing.assert_allclose(batch.probability[6:], 0.25)


@pytest.mark.parametrize("normalize", ["batch", "buffer"])
def test_weights_correct_for_priorities_within_each_and_leave_the_share(normalize: str) -> None:
    """(N_j P_j)^-beta with N_j and P_j of the item's own side, over the largest of the batch or of all."""
    replay = mixture()
    replay.normalize = normalize  # type: ignore[assignment]
    ids = write(replay, 100)
    own, frozen = replay.replays
    held = ids[replay.holds(ids)]
    replay.update_priorities(held, np.arange(1.0, len(held) + 1))
    shown = replay.numbering.outer(1, frozen.items.ids(frozen.items.places))
    replay.update_priorities(shown, np.arange(1.0, len(shown) + 1) ** 2)
    batch = replay.sample(8, np.random.default_rng(0), beta=0.7)
    sides = [
        len(each) * each.selector.values(each.items.locate(inner)[0]) / each.priorities().sum()
        for each, _, inner in replay.numbering.inner(batch.ids)
    ]
    expected = np.concatenate(sides) ** -0.7
    largest = expected.max()
    if normalize == "buffer":
        largest = max(
            (len(each) * each.priorities().min() / each.priorities().sum()) ** -0.7 for each in (own, frozen)
        )
    np.testing.assert_allclose(batch.weight, expected / largest, rtol=1e-6)


@pytest.mark.parametrize("linked", [False, True])
def test_a_state_holds_priorities_and_refreshed_states_and_no_steps(linked: bool) -> None:
    replay, twin = mixture(linked=linked), mixture(linked=linked)
    write(replay, 100)
    batch = replay.sample(8, np.random.default_rng(0))
    replay.update_priorities(batch.ids, np.arange(1.0, 9.0))
    if linked:
        replay.refresh(batch.ids, np.full((8, 1), 7.0, np.float32))
    state = snapshot(replay.state_dict())
    kept = state["replay_1"]
    assert kept.keys() == {"items", "late_updates", "selector"} | ({"core"} if linked else set())
    twin.load_state_dict(state)
    assert same(snapshot(twin.state_dict()), state)
    one, two = (r.sample(8, np.random.default_rng(1), beta=0.3) for r in (replay, twin))
    assert one.ids.tolist() == two.ids.tolist()
    np.testing.assert_array_equal(one.core, two.core)
    np.testing.assert_array_equal(one.weight, two.weight)


def test_a_state_of_a_replay_that_was_filled_otherwise_is_refused() -> None:
    replay, other = mixture(), mixture(shown=SHOWN - 3)
    before = snapshot(other.state_dict())
    with pytest.raises(ValueError, match=r"replay_1.items are other items"):
        other.load_state_dict(replay.state_dict())
    assert same(snapshot(other.state_dict()), before)


def test_a_mixture_must_leave_a_replay_to_write() -> None:
    for frozen in (2, -1):
        with pytest.raises(ValueError, match=f"leave at least one of 2 replays to write, got {frozen}"):
            Mixture([part(20), part(20)], [0.5, 0.5], frozen=frozen)
