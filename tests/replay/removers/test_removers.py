"""The laws of giving up: a reservoir is a uniform sample of all that came, a soft surplus goes when due."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from r2d2.replay import (
    Column,
    Fifo,
    LowestPriority,
    Proportional,
    Remover,
    Replay,
    Reservoir,
    Sequencer,
    SoftFifo,
    Uniform,
)


class AllOutcomes:
    """In the place of a generator: answers what `choices` says, and notes how many answers there were."""

    def __init__(self, choices: list[int]) -> None:
        self.choices, self.options = choices, list[int]()

    def _next(self, options: int) -> int:
        self.options.append(options)
        at = len(self.options) - 1
        if at == len(self.choices):
            self.choices.append(0)
        return self.choices[at]

    def integers(self, highs: NDArray) -> NDArray:
        return np.array([self._next(int(high)) for high in highs], np.int64)

    def choice(self, n: int, size: int, replace: bool) -> NDArray:
        assert not replace
        subsets = list(itertools.combinations(range(n), size))
        return np.array(subsets[self._next(len(subsets))], np.int64)


def enumerate_outcomes(play: Callable[[Any], frozenset[int]]) -> Iterator[tuple[Fraction, frozenset[int]]]:
    """Every way the dice can fall, with its probability and what `play` returned."""
    choices: list[int] = []
    while True:
        rng = AllOutcomes(choices)
        found = play(rng)
        probability = Fraction(1)
        for options in rng.options:
            probability /= options
        yield probability, found
        while choices and choices[-1] == rng.options[len(choices) - 1] - 1:
            choices.pop()
        if not choices:
            return
        choices[-1] += 1


class Shelf:
    """The part of a replay that a remover sees: places, and which newcomer (0, 1, ...) lies in each."""

    def __init__(self, remover: Remover, capacity: int) -> None:
        self.remover = remover
        self.free = list(range(capacity))[::-1]
        self.holds: dict[int, int] = {}  # place -> newcomer, in order of insertion
        self.offered = 0

    def take(self, places: NDArray) -> list[int]:
        assert len(set(places.tolist())) == len(places)
        self.free += places.tolist()
        return [self.holds.pop(place) for place in places.tolist()]

    def offer(self, n: int) -> tuple[list[int], list[int]]:
        """The newcomers that were accepted, and who left for them."""
        answer, victims = self.remover.offer(n, len(self.free))
        accepted = np.ones(n, np.bool_) if answer is None else answer
        assert accepted.shape == (n,)
        assert accepted.sum() <= len(self.free) + len(victims)
        left = self.take(victims)
        newcomers = (self.offered + np.flatnonzero(accepted)).tolist()
        places = [self.free.pop() for _ in newcomers]
        self.holds |= zip(places, newcomers, strict=True)
        self.remover.insert(np.array(places, np.int64))
        self.offered += n
        return newcomers, left


@pytest.mark.parametrize(
    ("capacity", "calls"),
    [
        (1, (1, 1, 1, 1)), (2, (1, 1, 1, 1, 1)), (2, (5,)), (2, (1, 3, 1)), (2, (3, 2)), (3, (2, 3, 1)),
        (3, (6,)), (1, (4,)), (4, (2, 1)),
        (3, (3, -1, 2)), (3, (4, -1, 2)), (3, (2, -1, 3)), (2, (3, -2, 3)), (3, (3, -2, 1, -1, 2)),
    ],
)  # fmt: skip
def test_every_item_ever_offered_is_held_with_the_same_probability(
    capacity: int, calls: tuple[int, ...]
) -> None:
    """Exactly, over every way the dice can fall: and so is every set of items, which is more. A call of n
    offers n newcomers at once, -n gives n items up under storage pressure; what was emptied begins anew."""

    def play(rng: Any) -> frozenset[int]:
        shelf = Shelf(Reservoir(capacity, rng), capacity)
        for call in calls:
            if call > 0:
                shelf.offer(call)
            else:
                shelf.take(shelf.remover.pop(-call))
        return frozenset(shelf.holds.values())

    sets: Counter[frozenset[int]] = Counter()
    for probability, held in enumerate_outcomes(play):
        sets[held] += probability
    assert sum(sets.values()) == 1
    since = seen = size = 0  # the number offered before it was last empty; offered since; held
    for call in calls:
        room = capacity if size == seen else size
        seen += max(0, call)
        size = min(room, size + call) if call > 0 else max(0, size + call)
        if size == 0:
            since, seen = since + seen, 0
    expected = list(itertools.combinations(range(since, since + seen), size))
    assert set(sets) == set(map(frozenset, expected))
    assert set(sets.values()) == {Fraction(1, len(expected))}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), capacity=st.integers(1, 6), places=st.integers(1, 9))
def test_a_reservoir_goes_on_bit_for_bit(seed: int, capacity: int, places: int) -> None:
    """And knows exactly what it holds, also where it has fewer or more slots than the replay has places."""
    rng = np.random.default_rng(seed)
    shelf = Shelf(Reservoir(capacity, np.random.default_rng(seed)), places)
    for _ in range(30):
        twin = Reservoir(capacity, np.random.default_rng(0))
        twin.load_state_dict(shelf.remover.state_dict())
        n = int(rng.integers(0, 5))
        if rng.random() < 0.2:
            given_up = shelf.remover.pop(n)
            assert given_up.tolist() == twin.pop(n).tolist()
            shelf.take(given_up)
        else:
            expected = twin.offer(n, len(shelf.free))
            accepted, left = shelf.offer(n)
            assert [k - (shelf.offered - n) for k in accepted] == np.flatnonzero(expected[0]).tolist()
            assert len(left) == len(expected[1])
        assert len(shelf.holds) <= min(capacity, places)
    assert sorted(shelf.remover.pop(99).tolist()) == sorted(shelf.holds)
    assert shelf.remover.pop(1).tolist() == []


def test_soft_surplus_goes_every_period_oldest_first() -> None:
    """It is never held up before; at the places' limit the oldest go at once."""
    shelf = Shelf(SoftFifo(10, soft=4, period=3), 10)
    assert shelf.offer(7) == (list(range(7)), [])
    for _ in range(2):
        assert shelf.take(shelf.remover.updated(5)) == []
    assert shelf.take(shelf.remover.updated(5)) == [0, 1, 2]
    reloaded = SoftFifo(10, soft=4, period=3)
    assert shelf.take(shelf.remover.updated(5)) == []
    reloaded.load_state_dict(shelf.remover.state_dict())
    shelf.remover = reloaded
    assert shelf.offer(8) == (list(range(7, 15)), [3, 4])
    assert shelf.take(shelf.remover.pop(1)) == [5]
    assert shelf.take(shelf.remover.updated(5)) == []
    assert shelf.take(shelf.remover.updated(5)) == [6, 7, 8, 9, 10]
    for _ in range(3):
        assert shelf.take(shelf.remover.updated(5)) == []  # no surplus is left


def test_the_lowest_priorities_go_first() -> None:
    """By the selector's value of that moment, the oldest among equals."""
    selector = Proportional(6, alpha=1.0, epsilon=0.0)
    remover = LowestPriority(selector)
    places = np.array([5, 0, 3, 1, 4, 2])
    selector.insert(places, places * 0)
    remover.insert(places)
    selector.update(places, np.array([2.0, 1.0, 3.0, 1.0, 1.0, 0.5]))
    accepted, victims = remover.offer(3, 1)
    assert accepted is None  # which is all of them
    assert sorted(victims.tolist()) == [0, 2]  # 0 is the oldest of the three with 1
    selector.remove(victims)
    selector.update(np.array([3]), np.array([0.1]))
    reloaded = LowestPriority(selector)
    reloaded.load_state_dict(remover.state_dict())
    for twin in (remover, reloaded):
        assert twin.offer(1, 1)[1].tolist() == []
        assert twin.pop(1).tolist() == [3]
        assert twin.pop(2).tolist() == [1, 4]
        assert twin.pop(5).tolist() == [5]
        assert twin.pop(1).tolist() == []
        assert twin.updated(5).tolist() == []


def test_the_lowest_of_equals_is_the_oldest() -> None:
    """With a uniform selector it is a Fifo."""
    shelves = []
    for make in (lambda s: LowestPriority(s), lambda s: Fifo(5)):
        selector = Uniform(5)
        shelf = Shelf(make(selector), 5)
        shelves.append([shelf.offer(n) for n in (2, 3, 1, 4, 5)])
    assert shelves[0] == shelves[1]


def test_constructors_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="capacity must be at least 1, got 0"):
        Reservoir(0, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"soft must be in \[1, capacity=4\] items, got 5"):
        SoftFifo(4, 5)
    with pytest.raises(ValueError, match="period must be at least 1 update, got 0"):
        SoftFifo(4, 2, period=0)


def test_initial_priorities_are_no_update() -> None:
    """Or a soft surplus would go with every hundred insertions instead of updates."""
    capacity = 20
    replay = Replay(
        {"value": Column()}, streams=1, sequencer=Sequencer(1, burn_in=0, unroll=1, n_step=1, period=1),
        selector=Uniform(capacity), remover=SoftFifo(capacity, 5, period=2), capacity=capacity, steps=100,
    )  # fmt: skip
    for _ in range(12):
        ids = replay.write({"value": np.zeros(1, np.float32)}, np.array([False]))
        replay.update_priorities(ids, np.ones(len(ids)), initial=True)
    assert len(replay) == 11
    replay.update_priorities(ids, np.ones(1))
    assert len(replay) == 11
    replay.update_priorities(ids, np.ones(1))
    assert len(replay) == 5
    assert replay.holds(ids).all()
