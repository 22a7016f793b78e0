"""Acting and learning at once, in two threads of one process.

The parts are those of `LocalRun`, driven in another order: a second thread acts and writes while this one
learns. The replay ratio still holds, within a slack of a few batches: the thread that is ahead waits. Which data
are learned from depends on timing, so two runs of one seed differ; everything else is as in the local runtime,
and a checkpoint of either can be resumed in the other.

It pays off where the learner uses a GPU, or where there are cores to spare.
"""

from __future__ import annotations

import threading
from typing import Any

import torch

from r2d2.build import agents as build
from r2d2.runtime.fair_lock import FairLock
from r2d2.runtime.local import LocalRun
from r2d2.runtime.rescue import rescue

SLACK = 2  # batches by which acting may be ahead, beyond what one step of the vector brings; ours
POLL = 0.05  # seconds between checks while waiting


def train(run: LocalRun) -> None:
    """`LocalRun.train` with acting in a thread of its own."""
    run.turns = FairLock()
    config, n = run.config, run.environments.num_envs
    run.limiter.slack = (
        SLACK * run.resolved.learner.batch * run.resolved.replay.unroll + config.replay.replay_ratio * n
    )
    torch.set_num_threads(max(1, build.threads(config) - _acting_threads(run)))
    acting = Acting(run)
    try:
        over = False
        while not over:
            ending = run.schedule.stop or not acting.room
            save = ending or run.schedule.save_due(run.actor.steps + n)
            if save:
                acting.park()
            _learn(run, acting, all_due=ending)
            over = run.round_off(ending=ending, is_cut=save, cut=acting.park)
            if save and not over:
                acting.go()
    except BaseException:
        acting.end()
        rescue(run)
        raise
    finally:
        acting.end()


def _learn(run: LocalRun, acting: Acting, *, all_due: bool) -> None:
    """One update if one is due, or all that are; waits if there is nothing to do."""
    due = False
    while run.update_due:
        due = True
        run.learn()
        acting.after_update()
        if not all_due:
            return
    if not due and not all_due:
        acting.after_update()  # it may be waiting for the initial weights
        acting.moved.wait(POLL)
        acting.moved.clear()


def _acting_threads(run: LocalRun) -> int:
    """CPU threads for the acting network: half of them where both networks share the CPU."""
    return max(1, build.threads(run.config) // 2) if run.device.type == "cpu" else 1


class Acting:
    """The thread that acts. Its methods are for the other thread.

    At a barrier it makes the step that cuts the running episodes and is then parked until `go`.
    """

    def __init__(self, run: LocalRun) -> None:
        self.moved = threading.Event()  # it has made a step, or has ended
        self._run = run
        self._learned = threading.Event()  # the learner has made an update
        self._cut, self._parked, self._go = threading.Event(), threading.Event(), threading.Event()
        self._quit = False
        self._wants_weights = False
        self._weights: tuple[dict[str, Any], int] | None = None  # to be loaded before the next step
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="acting", daemon=True)
        self._thread.start()

    @property
    def room(self) -> bool:
        """Whether `run.steps` leaves room for a step, and for the one that cuts episodes."""
        run = self._run
        return run.actor.steps + 2 * run.environments.num_envs <= run.config.run.steps

    def after_update(self) -> None:
        """Call between updates: passes on weights if they were asked for; raises the thread's exception."""
        if self._error is not None:
            raise self._error
        if self._wants_weights:
            self._wants_weights = False
            state = self._run.learner.network.state_dict()
            self._weights = {name: value.clone() for name, value in state.items()}, self._run.learner.updates
        self._learned.set()

    def park(self) -> None:
        """Let it make the step that cuts, and wait for it."""
        self._cut.set()
        self._learned.set()
        self._parked.wait()
        if self._error is not None:
            raise self._error

    def go(self) -> None:
        """Continue after a barrier."""
        self._cut.clear()
        self._parked.clear()
        self._go.set()

    def end(self) -> None:
        """End the thread, wherever it is, and wait for it."""
        self._quit = True
        self._learned.set()
        self._go.set()
        self._thread.join()

    def _main(self) -> None:
        torch.set_num_threads(_acting_threads(self._run))
        try:
            while not self._quit:
                self._turn()
        except BaseException as error:  # the other thread raises it
            self._error = error
        finally:
            self._parked.set()
            self.moved.set()

    def _turn(self) -> None:
        run, cut = self._run, self._cut.is_set()
        if not cut and not self._may_act():
            self._learned.wait(POLL)
            self._learned.clear()
            return
        if self._weights is not None:
            run.refresh_actor(*self._weights)
            self._weights = None
        run.act(cut=cut)
        self._wants_weights |= run.vector_steps % run.config.actor.actor_update_period == 0
        self.moved.set()
        if cut:
            self._parked.set()
            self._go.wait()
            self._go.clear()

    def _may_act(self) -> bool:
        run = self._run
        if not run.replay.ready:  # nothing can be learned yet, so acting must not wait
            return self.room
        return self.room and run.limiter.can_insert(run.environments.num_envs)
