"""Laws of acting and learning at once: turns are fair, the replay ratio holds, nothing is lost at either end."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_cases import Command, arguments, differences, lines, new_run, state, tiny

from r2d2.runtime import threads
from r2d2.runtime.fair_lock import FairLock
from r2d2.runtime.local import LocalRun


def test_turns_are_taken_in_the_order_of_asking() -> None:
    """Also by a thread that asks again the moment it is done: it goes to the end of the queue."""
    turns, order = FairLock(), []

    def take(name: str) -> None:
        with turns:
            order.append(name)

    waiting = [threading.Thread(target=take, args=(name,)) for name in "bcd"]
    with turns:
        for thread in waiting:
            queued = len(turns._waiting)
            thread.start()
            while len(turns._waiting) == queued:
                time.sleep(0.001)
    take("a")
    for thread in waiting:
        thread.join()
    assert order == list("bcda")


def test_one_thread_at_a_time_has_the_turn() -> None:
    turns, inside, most = FairLock(), [0], [0]

    def work() -> None:
        for _ in range(300):
            with turns:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0)
                inside[0] -= 1

    running = [threading.Thread(target=work) for _ in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert most == [1]
    with turns:  # and it is free again
        pass


def test_an_error_in_a_turn_gives_it_back() -> None:
    turns = FairLock()
    with pytest.raises(KeyError), turns:
        raise KeyError
    with turns:
        pass


def trained(folder: Path, **changes: Any) -> LocalRun:
    run = new_run(tiny(run__runtime="threads", **changes), folder)
    threads.train(run)
    return run


@pytest.mark.parametrize("ratio", [0.5, 4.0])
def test_the_replay_ratio_holds_whoever_is_faster(ratio: float, tmp_path: Path) -> None:
    """At the end all due updates are made; on the way acting is ahead by the slack at most."""
    ahead = []
    run = new_run(tiny(run__runtime="threads", replay__replay_ratio=ratio, run__steps=600), tmp_path)
    act = run.act

    def watched(*, cut: bool) -> None:
        act(cut=cut)
        if run.limiter.inserted > run.config.replay.min_steps and not cut:
            ahead.append(run.limiter._due)

    run.act = watched  # type: ignore[method-assign]
    threads.train(run)
    batch = run.config.learner.batch * run.config.replay.unroll
    assert 600 - 4 <= run.actor.steps <= 600
    assert run.learner.updates > 5
    assert not run.update_due
    assert run.limiter._due < batch
    slack = threads.SLACK * batch + ratio * run.environments.num_envs
    assert max(ahead) <= slack
    assert lines(tmp_path)[-1]["updates"] == run.learner.updates


def test_acting_goes_on_while_the_learner_works(tmp_path: Path) -> None:
    """The learner's update waits until a step was made meanwhile: in turns this would never end."""
    run = new_run(tiny(run__runtime="threads", run__steps=200), tmp_path)
    update = run.learner.update

    def slow(batch: Any) -> Any:
        before, end = run.actor.steps, time.monotonic() + 10
        while run.actor.steps == before and run.actor.steps < 190 and run.limiter.can_insert(2):
            assert time.monotonic() < end, "no step was made during an update"
            time.sleep(0.001)
        return update(batch)

    run.learner.update = slow  # type: ignore[method-assign]
    threads.train(run)
    assert run.learner.updates > 3


def test_the_actor_gets_weights_as_they_were_between_two_updates(tmp_path: Path) -> None:
    """Never those in the middle of one; and they come, every `actor_update_period` steps or soon after."""
    run = new_run(
        tiny(run__runtime="threads", actor__actor_update_period=3, replay__replay_ratio=4.0), tmp_path
    )
    known: dict[int, Any] = {}
    refresh, update = run.refresh_actor, run.learner.update

    def copy() -> dict[str, np.ndarray]:
        return {name: value.numpy().copy() for name, value in run.learner.network.state_dict().items()}

    def remembered(batch: Any) -> Any:
        known[run.learner.updates] = copy()
        done = update(batch)
        known[run.learner.updates] = copy()
        return done

    def checked(weights: Any, updates: int) -> None:
        refresh(weights, updates)
        if updates in known:
            for name, value in run.actor.network.state_dict().items():
                np.testing.assert_array_equal(value.numpy(), known[updates][name])
            loaded.append(updates)

    loaded: list[int] = []
    run.learner.update, run.refresh_actor = remembered, checked  # type: ignore[method-assign]
    threads.train(run)
    assert loaded == sorted(loaded)
    assert len(set(loaded)) > 5


def test_a_checkpoint_of_either_runtime_goes_on_in_the_other(tmp_path: Path) -> None:
    first = trained(tmp_path)
    assert first.schedule.saves == 2  # one on the way, at which acting was parked and went on
    assert first.actor.steps > 390
    second = new_run(tiny(run__runtime="local", run__steps=600), tmp_path)
    second.load(tmp_path / "checkpoints")
    assert differences(second.state_dict()["learner"], state(tmp_path)["learner"]) == []
    second.train()
    third = new_run(tiny(run__runtime="threads", run__steps=900), tmp_path)
    third.load(tmp_path / "checkpoints")
    assert third.actor.steps == second.actor.steps > 590
    threads.train(third)
    assert state(tmp_path)["actor"]["steps"] == third.actor.steps > 890
    assert third.learner.updates > second.learner.updates > first.learner.updates
    assert third.limiter.measured_ratio == pytest.approx(2.0, rel=0.1)


def test_ctrl_c_saves_what_both_have_done(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    endless = arguments(run__steps=10_000_000, run__checkpoint_period=10_000_000, run__runtime="threads")
    with Command(tmp_path, "train", "dqn", *endless, "--run-dir", run_dir) as command:
        command.wait_until(lambda: len(lines(run_dir)) > 2)
        command.send(signal.SIGINT)
        done = command.wait(30)
    assert done.code == 130
    assert "Traceback" not in done.err
    saved = state(run_dir)
    assert saved["counters"]["saves"] == 1
    assert lines(run_dir)[-1]["env_steps"] == saved["actor"]["steps"]


@pytest.mark.parametrize("where", ["act", "learn"])
def test_an_error_in_either_thread_ends_both_and_is_raised(where: str, tmp_path: Path) -> None:
    run = new_run(tiny(run__runtime="threads"), tmp_path)
    before, calls = getattr(run, where), [0]

    def fail(**arguments: Any) -> None:
        calls[0] += 1
        if calls[0] == 10:
            raise FloatingPointError("broken")
        before(**arguments)

    setattr(run, where, fail)
    with pytest.raises(FloatingPointError, match="broken"):
        threads.train(run)
    assert "acting" not in [thread.name for thread in threading.enumerate()]
