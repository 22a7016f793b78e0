"""The law of mixtures: exact shares of every batch, and each copy of an item goes by its own id."""

from __future__ import annotations

import numpy as np
import pytest
from checkpoint_cases import same
from helpers import snapshot
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from r2d2.replay import (
    Batch,
    Column,
    Fifo,
    Mixture,
    Proportional,
    Replay,
    Reservoir,
    Selector,
    Sequencer,
    Uniform,
)
from r2d2.replay.draw import Normalize, batch_shares

COLUMNS = {"stamp": Column((), "int32"), "frame": Column((4,), "uint8", "lz4", 2)}
STREAMS = 2


def part(remover: Fifo | Reservoir, selector: Selector, capacity: int, *, unroll: int = 2) -> Replay:
    sequencer = Sequencer(STREAMS, burn_in=1, unroll=unroll, n_step=1, period=unroll, context=2, core_size=1)
    return Replay(
        COLUMNS, streams=STREAMS, sequencer=sequencer, selector=selector, remover=remover, capacity=capacity,
        steps=2000, block=5, core_size=1,
    )  # fmt: skip


def mixture(shares: tuple[float, float] = (0.75, 0.25), normalize: Normalize = "batch") -> Mixture:
    recent = part(Fifo(20), Proportional(20, alpha=1.0, epsilon=0.0), 20)
    reservoir = part(Reservoir(30, np.random.default_rng(5)), Uniform(30), 30)
    return Mixture([recent, reservoir], shares, normalize=normalize)


def write(replay: Mixture | Replay, steps: int, start: int = 0) -> NDArray[np.int64]:
    """Rows stamped 2 t and 2 t + 1; the core state is the stamp; every ninth is the last of an episode."""
    ids = []
    for t in range(start, start + steps):
        stamp = np.array([2 * t, 2 * t + 1], np.int32)
        values = {"stamp": stamp, "frame": np.repeat(stamp[:, None] % 251, 4, axis=1).astype(np.uint8)}
        last = np.full(STREAMS, t % 9 == 8)
        ids.append(replay.write(values, last, core=stamp[:, None].astype(np.float32)))
    return np.concatenate(ids)


def outer(ids: NDArray[np.int64], places: int, first: int) -> NDArray[np.int64]:
    """What the mixture of 20 and 30 places calls a replay's items: its places come after `first` others."""
    return ids // places * 50 + first + ids % places


def _in_first(replay: Mixture, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    return ids % replay.capacity < replay.replays[0].capacity


@given(
    n=st.integers(1, 600),
    shares=st.lists(st.integers(1, 50), min_size=1, max_size=5).map(lambda s: [x / sum(s) for x in s]),
)
def test_shares_are_exact(n: int, shares: list[float]) -> None:
    """They sum to n, each within one item of n times its share, and whole ones are met exactly."""
    counts = batch_shares(n, shares)
    assert sum(counts) == n
    for count, share in zip(counts, shares, strict=True):
        assert abs(count - n * share) < 1
        if abs(n * share - round(n * share)) < 1e-9:
            assert count == round(n * share)
    assert counts == batch_shares(n, shares)


def test_the_remainder_goes_to_the_largest_and_of_equals_to_the_first() -> None:
    assert batch_shares(3, [0.5, 0.5]) == [2, 1]
    assert batch_shares(10, [0.42, 0.58]) == [4, 6]
    assert batch_shares(30, [0.1, 0.9]) == [3, 27]
    assert batch_shares(5, [0.0, 0.5, 0.5]) == [0, 3, 2]


def test_what_is_drawn_is_what_each_replay_would_draw() -> None:
    """Fields, columns, ids and probabilities, item by item, against the replays asked one by one."""
    joined, twin = mixture(), mixture()
    ids, again = write(joined, 200), write(twin, 200)
    assert ids.tolist() == again.tolist()
    out = None
    for seed in range(5):
        rng, other = np.random.default_rng(seed), np.random.default_rng(seed)
        batch = joined.sample(9, rng, beta=0.5, out=out)  # 9 * 0.75 = 6.75: 7 and 2
        parts = [replay.sample(n, other) for replay, n in zip(twin.replays, (7, 2), strict=True)]
        for name in ("core", "burn_in", "length", "lookahead"):
            expected = np.concatenate([getattr(p, name) for p in parts])
            np.testing.assert_array_equal(getattr(batch, name), expected)
        for name in COLUMNS:
            np.testing.assert_array_equal(
                batch.columns[name], np.concatenate([p.columns[name] for p in parts])
            )
        assert batch.ids.tolist() == [*outer(parts[0].ids, 20, 0), *outer(parts[1].ids, 30, 20)]
        expected = np.concatenate([parts[0].probability * 7 / 9, parts[1].probability * 2 / 9])
        np.testing.assert_allclose(batch.probability, expected, rtol=1e-12)
        weight = (len(joined) * expected) ** -0.5
        np.testing.assert_allclose(batch.weight, weight / weight.max(), rtol=1e-6)
        read = joined.get(batch.ids)
        for name in COLUMNS:
            np.testing.assert_array_equal(read.columns[name], batch.columns[name])
        np.testing.assert_array_equal(read.core, batch.core)
        out = batch


def test_probabilities_of_all_copies_sum_to_one_and_weights_restore_their_mean() -> None:
    replay = mixture((0.5, 0.5))
    ids = write(replay, 200)
    held = [i for i in ids.tolist() if _is_held(replay, i)]
    assert len(held) == len(replay) == 50
    replay.update_priorities(np.array(held), np.arange(1.0, 51.0))
    found: dict[int, float] = {}
    sums = []
    rng = np.random.default_rng(0)
    f = dict(zip(held, np.random.default_rng(1).normal(size=50), strict=True))
    for _ in range(1500):
        batch = replay.sample(8, rng)
        found |= zip(batch.ids.tolist(), batch.probability.tolist(), strict=True)
        values = np.array([f[i] for i in batch.ids.tolist()])
        sums.append((values / (len(replay) * batch.probability)).mean())
    assert sorted(found) == sorted(held)
    assert sum(found.values()) == pytest.approx(1.0, rel=1e-9)
    assert abs(np.mean(sums) - np.mean(list(f.values()))) < 4 * np.std(sums) / np.sqrt(len(sums))


def _is_held(replay: Mixture, id_: int) -> bool:
    try:
        replay.get(np.array([id_]), ["stamp"])
    except KeyError:
        return False
    return True


def test_priorities_find_the_copy_that_they_are_for() -> None:
    """The other copy keeps its own; late ones are counted; a bad one changes nothing in any replay."""
    parts = [part(Fifo(20), Proportional(20, alpha=1.0, epsilon=0.0), 20) for _ in range(2)]
    replay = Mixture(parts, [0.5, 0.5])
    ids = write(replay, 60)
    live = ids[[_is_held(replay, i) for i in ids.tolist()]]
    replay.update_priorities(live, np.where(_in_first(replay, live), 3.0, 5.0))
    for inner, expected in zip(parts, (3.0, 5.0), strict=True):
        assert set(inner.priorities().tolist()) == {expected}
    assert replay.late_updates == 0
    replay.update_priorities(ids[:1], np.array([7.0]))
    assert replay.late_updates == 1
    with pytest.raises(ValueError, match="priorities must be finite"):
        replay.update_priorities(live, np.where(_in_first(replay, live), 1.0, np.nan))
    with pytest.raises(ValueError, match="never given out"):
        replay.update_priorities(np.append(live, 10**9 + 1), np.ones(len(live) + 1))
    with pytest.raises(ValueError, match="alike"):
        replay.update_priorities(live, np.ones(1))
    assert sorted(set(replay.priorities().tolist())) == [3.0, 5.0]


def test_buffer_maximum() -> None:
    replay = mixture((0.5, 0.5), "buffer")
    ids = write(replay, 200)
    held = np.array([i for i in ids.tolist() if _is_held(replay, i)])
    replay.update_priorities(held, np.where(_in_first(replay, held), np.arange(1.0, len(held) + 1), 1.0))
    own = np.arange(1.0, len(held) + 1)[_in_first(replay, held)]
    smallest = min(0.5 * own.min() / own.sum(), 0.5 / 30)
    batch = replay.sample(6, np.random.default_rng(0), beta=1.0)
    np.testing.assert_allclose(batch.weight, smallest / batch.probability, rtol=1e-6)


def test_a_reloaded_mixture_goes_on_bit_for_bit() -> None:
    replay, twin = mixture(), mixture()
    write(replay, 150)
    replay.sample(4, np.random.default_rng(0))
    state = snapshot(replay.state_dict())
    twin.load_state_dict(state)
    assert same(snapshot(twin.state_dict()), state)
    for k in range(3):
        assert write(replay, 40, 150 + 40 * k).tolist() == write(twin, 40, 150 + 40 * k).tolist()
        one, two = (r.sample(8, np.random.default_rng(k), beta=0.3) for r in (replay, twin))
        assert same(_plain(one), _plain(two))
        for r in (replay, twin):
            r.update_priorities(one.ids, np.arange(8.0))
    assert replay.steps_written == twin.steps_written == replay.replays[1].steps_written
    assert replay.capacity == 50
    assert replay.nbytes == sum(r.nbytes for r in replay.replays)


def _plain(batch: Batch) -> dict[str, object]:
    return vars(batch) | {"columns": dict(batch.columns)}


def test_cleared_it_begins_anew_and_an_empty_part_leaves_its_share() -> None:
    replay = mixture()
    write(replay, 100)
    replay.replays[0].clear()
    batch = replay.sample(5, np.random.default_rng(0))
    assert not _in_first(replay, batch.ids).any()
    np.testing.assert_allclose(batch.probability, 1 / 30)
    replay.clear()
    assert len(replay) == 0
    with pytest.raises(ValueError, match="holds no finished item"):
        replay.sample(1, np.random.default_rng(0))
    write(replay, 30, 100)
    assert replay.sample(3, np.random.default_rng(0)).columns["stamp"].min() >= 180


def test_mixtures_that_cannot_be_are_refused_with_the_reason() -> None:
    one, other = part(Fifo(20), Uniform(20), 20), part(Fifo(20), Uniform(20), 20)
    for replays, shares, message in (
        ([one, other], [1.0], "shares must have one number a replay, got 1 for 2"),
        ([], [], "shares must have one number a replay, got 0 for 0"),
        ([one, other], [0.5, 0.6], r"shares must be positive and sum to 1, got \[0.5, 0.6\]"),
        ([one, other], [1.0, 0.0], "shares must be positive and sum to 1"),
        ([one, one], [0.5, 0.5], "needs a sequencer of its own"),
        ([one, part(Fifo(20), one.selector, 20)], [0.5, 0.5], "needs a selector of its own"),
        ([one, part(Fifo(20), Uniform(20), 20, unroll=3)], [0.5, 0.5], "must be alike in .*sequencer"),
    ):
        with pytest.raises(ValueError, match=message):
            Mixture(replays, shares)
    with pytest.raises(ValueError, match="n must be at least 1"):
        Mixture([one, other], [0.5, 0.5]).sample(0, np.random.default_rng(0))
