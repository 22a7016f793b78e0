"""LocalRun: everything in one process, in a fixed order, resumable bit for bit.

Acting and learning take turns: after every step of the environments, as many updates as the replay ratio
allows. A checkpoint is a barrier: running episodes are truncated and all environments restart with seeds
derived from the run's seed and the checkpoint's number, whether the run continues or is resumed. So a resumed
run equals an uninterrupted one that saved at the same steps.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from r2d2.agent.learner import Update
from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.build import replays as build_replay
from r2d2.build.agents import ACTING, ENVIRONMENTS, SAMPLING, child_seed, generator
from r2d2.checkpoint import checkpoint
from r2d2.config import Config
from r2d2.dataset.dataset import Source
from r2d2.envs.vector import VectorEnv
from r2d2.replay import PendingBatch, PendingMixture
from r2d2.runs.folder import CHECKPOINTS
from r2d2.runs.policy_files import Policies
from r2d2.runtime import demonstrations
from r2d2.runtime.evaluator import Evaluator
from r2d2.runtime.local_state import restore, state_of
from r2d2.runtime.meter import Ages, Meter, RecentEpisodes, replay_measures
from r2d2.runtime.probe import make_probe
from r2d2.runtime.rescue import environments_of, rescue
from r2d2.runtime.schedule import Schedule
from r2d2.runtime.stale_states import without_stale_states
from r2d2.tracking.tracker import Tracker
from r2d2.types import Batch, Rows


class LocalRun:
    """One training run in `run_dir`. Set `schedule.stop` at any time to finish the step, save and end."""

    def __init__(
        self,
        config: Config,
        run_dir: Path,
        tracker: Tracker,
        vector: VectorEnv | None = None,
        source: Source | None = None,
    ) -> None:
        """`vector` is what `build.environments.vector` built from the config, and `source` what
        `demonstrations.opened` read for it, if that was done already."""
        self.config, self.run_dir, self.tracker = config, run_dir, tracker
        vector = environments.vector(config, halves=config.actor.halves) if vector is None else vector
        self.environments, spec = vector, vector.spec
        # `config` is saved and compared; parts are built from `resolved`
        self.resolved = config = build.resolved(config, spec)
        self.device = build.device(config)
        torch.set_num_threads(build.threads(config))
        network = build.network(config, spec)
        self.learner = build.learner(config, network, device=self.device, resets=build.resets(config, spec))
        self.replay, self.demonstrations = demonstrations.replay_of(config, spec, network, source)
        self.ages = Ages(self.replay.places)
        self.probe = make_probe(config, core_size=network.core_size, capacity=self.replay.capacity)
        self.limiter = build.limiter(config)
        seed = config.run.seed
        self.actor = build.actor(config, vector, copy.deepcopy(network), rng=generator(seed, ACTING))
        both = self.actor.network, self.learner.network
        self._weights = [[*network.state_dict().values()] for network in both]  # the tensors themselves
        self.rng = generator(seed, SAMPLING)
        self.evaluator = Evaluator(config, run_dir, tracker)
        self.policies = Policies(run_dir, config, spec, tracker.warn)
        self.turns: AbstractContextManager[None] = nullcontext()  # lock on what acting and learning share
        self.schedule = Schedule(config.run, self.evaluator)
        self.vector_steps = 0
        self.actor_updates = 0  # in the actor's weights
        self.recent = RecentEpisodes()
        self.meter = Meter()
        self.crashed = False  # the environments have
        self.rescued = False  # and the run was saved
        self._checkpoint: Path | None = None  # the one this run last saved or loaded
        self._drawn: PendingBatch | PendingMixture | None = None  # the next batch; discarded at a barrier
        self._unread: deque[tuple[Any, Update, dict[str, float]]] = deque()  # updates, their ids and ages
        self._spare: Batch | None = None  # a batch whose arrays may be reused
        self._reset()

    # -- the loop --------------------------------------------------------------------------------------

    def train(self) -> None:
        """Train until `run.steps`, `run.stop_return` or a stop; always ends with a checkpoint, even if the
        environments crash."""
        try:
            over = False
            while not over:
                steps = self.actor.steps + self.environments.num_envs
                ending = self.schedule.stop or steps + self.environments.num_envs > self.config.run.steps
                save = ending or self.schedule.save_due(steps)
                self.act(cut=save)
                self._learn()
                self._refresh_actor()
                over = self.round_off(ending=ending, is_cut=save, cut=lambda: self.act(cut=True))
        except BaseException:
            rescue(self)
            raise

    def round_off(self, *, ending: bool, is_cut: bool, cut: Callable[[], None]) -> bool:
        """Log, evaluate and save what is due; returns whether the run is over. `is_cut` says whether the running
        episodes were truncated, which `cut` does."""
        self.report(force=ending)
        if self.schedule.evaluation_due(self.actor.steps, ending=ending):
            self.evaluate()
        over = self.schedule.over(ending=ending)
        if over and not is_cut:
            cut()
        if over and not ending:  # solved, between two reports
            self.report(force=True)
        if over or is_cut:
            self.save()
        return over

    @property
    def env_steps(self) -> int:
        return self.actor.steps

    @property
    def updates(self) -> int:
        return self.learner.updates

    @property
    def finished(self) -> bool:
        """Whether the run is complete: `run.steps` reached, to within two steps of the vector, or solved."""
        return self.schedule.finished(self.actor.steps)

    def act(self, *, cut: bool) -> None:
        """One step of every environment, written to the replay; `cut` truncates the running episodes, and `save`
        must follow."""
        with environments_of(self):
            rows = self.actor.step(cut=cut)
        with self.turns:
            self.put(rows)
        self.actor.epsilon = build.epsilon(self.config, self.environments.num_envs, self.actor.steps)

    def put(self, new: list[Rows]) -> None:
        """Rows of the actor go into the replay, and what is counted with them."""
        for rows in new:
            ids = self.replay.write(rows.values, rows.last, streams=rows.streams, core=rows.core)
            self.limiter.insert(int(np.count_nonzero(~rows.last)))
            if len(ids):
                self.ages.insert(ids, updates=self.learner.updates, actor_updates=self.actor_updates)
                ids = build_replay.set_initial_priorities(self.resolved, self.replay, ids)
            self.probe.write(rows, ids)
        self.vector_steps += 1
        self.recent.extend(self.actor.episodes)
        self.meter.count("train/episodes", len(self.actor.episodes))
        self.actor.episodes.clear()

    def _learn(self) -> None:
        """As many updates as are due."""
        while self.update_due:
            self.learn()

    @property
    def update_due(self) -> bool:
        """Whether the replay ratio asks for another update."""
        steps = self.resolved.learner.batch * self.resolved.replay.unroll
        return self.replay.ready and self.limiter.can_sample(steps)

    def learn(self) -> None:
        """One update. The next batch is drawn and decoded while the learner works on this one, so its priorities
        are one update old, whether it is prefetched or not."""
        with self.turns:
            draw = self._drawn or self._draw()
        batch = draw.result()
        with self.turns:
            self._drawn = self._draw()
            ages = self.ages.of(batch.ids, self.learner.updates)
            batch = without_stale_states(self.config, batch, self.ages, self.learner.updates)
            self.ages.count(batch.ids)
        self.learner.set_learning_rate(build.learning_rate(self.config, self.actor.steps))
        self._unread.append((batch.ids.copy(), self.learner.update(batch), ages))
        with self.turns:
            self.limiter.sample(batch.steps)
        self._read(leave=int(self.learner.asynchronous))
        self._spare = batch

    def _read(self, *, leave: int) -> None:
        """Process the results of updates, except the last `leave`: reading one waits for the device, so it is
        deferred until the next one has been submitted."""
        while len(self._unread) > leave:
            ids, update, ages = self._unread.popleft()
            update.wait()  # without holding the lock
            with self.turns:
                self.replay.update_priorities(ids, update.priorities)
                if update.refreshed is not None:  # initial states of the successors of the batch's items
                    after = self.replay.successors(ids)
                    self.replay.refresh(after[after >= 0], update.refreshed[after >= 0])
                found = {f"learner/{name}": value for name, value in update.metrics.items()} | ages
                self.meter.add(found | demonstrations.measures(self.replay, ids, update.priorities))

    def _draw(self) -> PendingBatch | PendingMixture:
        build_replay.set_alpha(self.config, self.replay, self.actor.steps)
        beta = build_replay.beta(self.config, self.actor.steps)
        items = build_replay.batch_items(self.resolved, lambda: self.replay.mean_length)
        spare = self._spare if self._spare is not None and len(self._spare.ids) == items else None
        draw = self.replay.draw(items, self.rng, beta=beta, out=spare)
        self._spare = None  # its arrays are being filled
        if not self.config.run.prefetch:
            draw.result()
        return draw

    def _refresh_actor(self) -> None:
        due = self.vector_steps % self.config.actor.actor_update_period == 0
        if due and self.actor_updates != self.learner.updates:
            acting, learned = self._weights
            with self.actor.stream.paused():
                torch._foreach_copy_(acting, learned)
            self.actor_updates = self.learner.updates

    def refresh_actor(self, weights: Mapping[str, Any], updates: int) -> None:
        """Act with the learner's weights of `updates` updates."""
        self.actor.load_weights(weights)
        self.actor_updates = updates

    # -- reports ---------------------------------------------------------------------------------------

    def report(self, *, force: bool) -> None:
        """Log everything since the last report, if one is due or forced."""
        if not force and not self.schedule.log_due(self.actor.steps):
            return
        self.schedule.logged(self.actor.steps)
        if force:  # there may be no later report
            self._read(leave=0)
        with self.turns:
            metrics = self.meter.take() | replay_measures(self.replay, self.limiter, self.config.replay.steps)
            metrics |= self.probe.measure(self.learner, self.replay, self.resolved.learner.batch)
            metrics |= self.recent.means()
        self.tracker.log(metrics, env_steps=self.actor.steps, updates=self.learner.updates)

    def evaluate(self) -> None:
        """Greedy episodes of the learner's network; training is not affected."""
        steps = self.actor.steps
        with environments_of(self):
            self.evaluator.evaluate(
                self.learner.network, steps=steps, updates=self.updates, stopped=lambda: self.schedule.stop
            )
        with self.turns:
            priorities = self.replay.priorities()
        self.tracker.log_histogram("replay/priorities", priorities, env_steps=steps)

    # -- checkpoints -----------------------------------------------------------------------------------

    def _reset(self) -> None:
        self._drawn = None
        self.actor.reset(child_seed(self.config.run.seed, ENVIRONMENTS, self.schedule.saves))

    def save(self) -> Path:
        """Write a checkpoint; the running episodes must have been cut. Environments restart."""
        path = self.write()
        self._reset()
        return path

    def write(self) -> Path:
        """`save` without the restart."""
        self._read(leave=0)
        number = self.schedule.saving(self.actor.steps)
        self._checkpoint = checkpoint.save(
            self.run_dir / CHECKPOINTS, self.state_dict(), number=number, parent=self._checkpoint
        )
        self.policies.keep_last(self.learner.network, env_steps=self.env_steps, updates=self.updates)
        return self._checkpoint

    def state_dict(self) -> dict[str, Any]:
        """Everything that determines how the run continues after a barrier."""
        return state_of(self)

    def load(self, path: Path) -> None:
        """Resume exactly where `save` left off; CheckpointError if the checkpoint does not fit this run."""
        restore(self, path)
        self._checkpoint = path
        self.actor.epsilon = build.epsilon(self.config, self.environments.num_envs, self.actor.steps)
        self._reset()
