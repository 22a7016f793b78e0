"""The law of reading beside writing: a batch is what was stored when it was drawn, whatever is written before its
columns are copied."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from r2d2.replay import Column, Fifo, Proportional, Replay, Sequencer, SoftFifo, rows, workers
from r2d2.replay.readings import MOST
from r2d2.types import Batch

WIDTH = 600  # bytes of a row: more than goes into the records
STREAMS = 2


@pytest.fixture(autouse=True)
def _all_copies_are_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "AT_ONCE", 0)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Copies wait until it is open."""
    opened, copy = threading.Event(), rows._copy

    def gated(*arguments: Any) -> None:
        assert opened.wait(60)
        copy(*arguments)

    monkeypatch.setattr(rows, "_copy", gated)
    yield opened
    opened.set()


class Writer:
    """Writes rows that are full of one number each, which no other row has."""

    def __init__(self, steps: int, *, compiled: bool = True, context: int = 0) -> None:
        sequencer = Sequencer(STREAMS, burn_in=1, unroll=4, n_step=1, period=2, context=context)
        self.columns = {
            "wide": Column((WIDTH // 4,), "uint32", context=context),
            "number": Column((), "uint32", context=context),
            "other": Column((WIDTH // 2,), "uint16"),
        }
        self.replay = Replay(
            self.columns, streams=STREAMS, sequencer=sequencer, selector=Proportional(400),
            remover=Fifo(400) if compiled else SoftFifo(400, 400),
            capacity=400, steps=steps, block=3,
        )  # fmt: skip
        assert self.replay._held.frame.writes == compiled
        self.number, self.rng = 0, np.random.default_rng(0)

    def write(self, count: int = 1) -> None:
        for _ in range(count):
            numbers = np.arange(self.number, self.number + STREAMS, dtype=np.uint32)
            values = {
                "wide": np.repeat(numbers[:, None], WIDTH // 4, 1),
                "number": numbers,
                "other": np.repeat(numbers[:, None], WIDTH // 2, 1).astype(np.uint16),
            }
            running = self.replay.sequencer.cutter.episode_row > 0
            last = running & (self.rng.random(STREAMS) < 0.1)
            self.replay.write(values, last)
            self.number += STREAMS


def check(batch: Batch) -> None:
    """Every large row is full of the number that the small column, which is copied at once, has."""
    number = batch.columns["number"]
    assert (batch.columns["wide"] == number[..., None]).all()
    context = number.shape[1] - batch.columns["other"].shape[1]
    assert (batch.columns["other"] == number[:, context:, None].astype(np.uint16)).all()


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("context", [0, 2])
def test_a_batch_is_what_was_stored_when_it_was_drawn(
    compiled: bool, context: int, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a reserve as large as the rest nobody waits, though every slot that is not pinned is filled again."""
    monkeypatch.setattr("r2d2.replay.sizes.RESERVE", 1.0)
    writer = Writer(200, compiled=compiled, context=context)
    writer.write(150)
    replay, rng = writer.replay, np.random.default_rng(0)
    draws = [replay.draw(2, rng) for _ in range(2)]
    writer.write(300)
    gate.set()
    for draw in draws:
        check(draw.result())
    writer.write(1)
    assert not replay.storage.blocks.pinned.any()
    assert len(replay.storage.readings) == 0


@pytest.mark.parametrize("compiled", [True, False])
def test_a_writer_waits_where_every_free_slot_is_pinned(compiled: bool, gate: threading.Event) -> None:
    writer = Writer(30, compiled=compiled)
    writer.write(60)
    draw = writer.replay.draw(64, np.random.default_rng(0))
    wrote = threading.Event()

    def write() -> None:
        writer.write(60)
        wrote.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert not wrote.wait(0.3)
    gate.set()
    assert wrote.wait(60)
    thread.join()
    check(draw.result())
    for _ in range(20):
        check(writer.replay.sample(8, writer.rng))
        writer.write(1)
    assert not writer.replay.storage.blocks.pinned.any()


@pytest.mark.parametrize("compiled", [True, False])
def test_threads_that_hold_a_lock_for_the_index_alone(compiled: bool) -> None:
    """Few slots, so that each is filled again all the time; results are waited for without the lock."""
    writer, lock, done = Writer(60, compiled=compiled), threading.Lock(), threading.Event()
    writer.write(60)
    errors: list[BaseException] = []

    def read(seed: int) -> None:
        rng, batch = np.random.default_rng(seed), None
        try:
            for _ in range(150):
                with lock:
                    draw = writer.replay.draw(16, rng, out=batch)
                batch = draw.result()
                check(batch)
                with lock:
                    writer.replay.update_priorities(batch.ids, rng.random(16))
        except BaseException as error:
            errors.append(error)

    def write() -> None:
        try:
            while not done.is_set():
                with lock:
                    writer.write()
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(2)]
    writing = threading.Thread(target=write)
    for thread in (*readers, writing):
        thread.start()
    for thread in readers:
        thread.join()
    done.set()
    writing.join()
    assert not errors, errors[0]
    writer.write(1)
    assert not writer.replay.storage.blocks.pinned.any()


def test_items_and_draws_do_not_depend_on_when_a_batch_is_copied() -> None:
    """Only the slots do, which nobody sees."""
    at_once, later = Writer(90), Writer(90)
    first, second = np.random.default_rng(1), np.random.default_rng(1)
    pending, expected = [], []
    for step in range(200):
        for writer in (at_once, later):
            writer.write()
        if step > 20:
            expected.append(at_once.replay.sample(3, first, beta=0.5))
            pending.append(later.replay.draw(3, second, beta=0.5))
            if step % 7 == 0:
                for one, other in zip(expected, [draw.result() for draw in pending], strict=True):
                    for name in at_once.columns:
                        np.testing.assert_array_equal(one.columns[name], other.columns[name])
                    assert one.ids.tolist() == other.ids.tolist()
                pending, expected = [], []


def test_batches_that_nobody_waits_for_are_forgotten() -> None:
    writer = Writer(90)
    writer.write(90)
    for _ in range(30):
        writer.replay.draw(4, writer.rng)
        writer.write()
    workers.use(workers.count())  # waits for the copies
    writer.replay.draw(4, writer.rng)
    assert len(writer.replay.storage.readings) <= MOST
    writer.replay.storage.readings.settle()
    assert not writer.replay.storage.blocks.pinned.any()


def test_a_state_is_loaded_when_nothing_is_copied_any_longer(gate: threading.Event) -> None:
    writer, other = Writer(90), Writer(90)
    writer.write(90)
    other.write(120)
    draw = writer.replay.draw(4, writer.rng)
    threading.Timer(0.1, gate.set).start()
    writer.replay.load_state_dict(other.replay.state_dict())
    check(draw.result())
    check(writer.replay.sample(4, writer.rng))


def test_a_state_of_a_replay_without_a_reserve_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As checkpoints were before there was one."""
    with monkeypatch.context() as before:
        before.setattr("r2d2.replay.sizes._reserve", lambda *_: 0)
        old = Writer(90)
    old.write(120)
    state = old.replay.state_dict()
    assert "reserve" not in state["storage"]
    new = Writer(90)
    assert new.replay.storage.reserve
    new.replay.load_state_dict(state)
    new.number, new.rng = old.number, old.rng
    for _ in range(100):
        check(new.replay.sample(4, np.random.default_rng(0)))
        new.write()
    assert new.replay.storage.free_slots == len(
        set(new.replay.storage.blocks.free[: new.replay.storage.free_slots].tolist())
    )
    again = Writer(90)
    again.replay.load_state_dict(new.replay.state_dict())
    assert again.replay.storage.free_blocks == new.replay.storage.free_blocks
