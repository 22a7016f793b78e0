"""The law of the threads: as many as asked for, first come first served, and none is dropped with its job."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Thread

import pytest

from r2d2.replay import workers


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = workers.count()
    yield
    workers.use(before)


@pytest.mark.parametrize("threads", [0, -1])
def test_at_least_one_thread(threads: int) -> None:
    before = workers.count()
    with pytest.raises(ValueError, match=f"threads must be at least 1, got {threads}"):
        workers.use(threads)
    assert workers.count() == before
    assert workers.submit(lambda: 3).result(5) == 3, "the old ones go on"


def test_as_many_run_at_once_as_asked_for() -> None:
    """Two jobs that wait for each other end in two threads; in one, jobs run in their order."""
    workers.use(2)
    assert workers.count() == 2
    first, second = Event(), Event()
    one = workers.submit(lambda: first.set() or second.wait(5))
    two = workers.submit(lambda: second.set() or first.wait(5))
    assert one.result(5)
    assert two.result(5)
    workers.use(1)
    order: list[int] = []
    for future in [workers.submit(lambda i=i: order.append(i)) for i in range(50)]:
        future.result(5)
    assert order == list(range(50))


def test_a_change_waits_for_what_was_submitted() -> None:
    workers.use(1)
    gate = Event()
    jobs = [workers.submit(lambda: gate.wait(5)), workers.submit(lambda: 7)]
    changing = Thread(target=workers.use, args=(2,))
    changing.start()
    changing.join(0.05)
    assert changing.is_alive()
    gate.set()
    changing.join(5)
    assert workers.count() == 2
    assert [job.result(0) for job in jobs] == [True, 7]
