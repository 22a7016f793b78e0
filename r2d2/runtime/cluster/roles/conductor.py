"""ClusterRun: keeps a cluster's processes working, notices lost ones, and keeps the run's log and checkpoints."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.checkpoint import checkpoint
from r2d2.checkpoint.alike import check_alike, restoring
from r2d2.config import Config, from_dict, to_dict
from r2d2.config.resumed import check_same_parts
from r2d2.envs.vector import EnvSpec
from r2d2.runtime.cluster.roles.acting import Acted
from r2d2.runtime.cluster.roles.layout import Layout
from r2d2.runtime.cluster.roles.learning import Progress
from r2d2.runtime.cluster.roles.messages import Failed, Fleet, Lost
from r2d2.runtime.cluster.roles.reshard import reshard_checkpoint
from r2d2.runtime.cluster.roles.tally import Tally
from r2d2.runtime.evaluator import Evaluator
from r2d2.runtime.meter import RecentEpisodes
from r2d2.runtime.restored import check_records
from r2d2.runtime.schedule import Schedule
from r2d2.tracking.tracker import Tracker

SLICE = 0.5  # seconds of work requested at a time, after which a process can take other calls; ours
LOOK = 1.0  # seconds between status requests to a shard; ours
AGAIN = 0.2  # seconds until a lost process is called again; ours
FINISH = 30.0  # seconds that actors have to deliver their last steps; ours
WITH_ENVIRONMENTS = ("actor", "evaluator")

Answer = Callable[[Any], None]


class ClusterRun:
    """One training run in `run_dir`. Set `schedule.stop` at any time to deliver all steps, save and end."""

    def __init__(
        self,
        config: Config,
        run_dir: Path,
        tracker: Tracker,
        launch: Callable[[int | None, Path | None], Fleet],
        spec: EnvSpec | None = None,
    ) -> None:
        """`launch` starts the processes, from a checkpoint's number and folder or anew; `spec` is that of the
        config's environments, if it is known."""
        self.config, self.run_dir, self.tracker = config, run_dir, tracker
        self.layout = Layout(config)
        self._launch = launch
        spec = environments.spec(config) if spec is None else spec
        self.resolved = build.resolved(config, spec)  # what the processes are built from
        self.evaluator = Evaluator(config, run_dir, tracker)
        self.tally = Tally(config)
        self.schedule = Schedule(config.run, self.evaluator)
        self.recent = RecentEpisodes()
        self.env_steps = self.updates = 0  # the largest values so far, so that no log goes backwards
        self.progress = Progress(0, 0, 0, 0, 0.0)
        self.rescued = False  # saved after an environment crashed
        self._from: tuple[int | None, Path | None] = (None, None)
        self._answers: dict[Any, Answer] = {}
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._evaluating = False
        self._ending = False

    # -- the loop --------------------------------------------------------------------------------------

    def train(self) -> None:
        """Train until `run.steps`, `run.stop_return` or `stop`; always ends with a checkpoint."""
        self.fleet = self._launch(*self._from)
        try:
            for actor in range(self.layout.actors):
                self._work("actor", actor, "run", self._acted)
            for shard in range(self.layout.shards):
                self._work("shard", shard, "status", self.tally.shard, pause=LOOK)
            self._work("learner", 0, "train", self._learned)
            while not self._over:
                self._pump()
                if self.schedule.log_due(self.env_steps):
                    self._log()
                if not self._evaluating and self.schedule.evaluation_due(self.env_steps, ending=False):
                    self._evaluate()
                if self.schedule.save_due(self.env_steps):
                    self.save()
            self._finish()
        except Failed as failed:
            if failed.kind in WITH_ENVIRONMENTS:
                self._rescue()
            raise failed.error from None
        finally:
            self.fleet.close()

    @property
    def _over(self) -> bool:
        stop = self.schedule.stop or self.evaluator.solved
        return stop or self.env_steps >= self.config.run.steps

    @property
    def finished(self) -> bool:
        """Whether the run is complete: `run.steps` reached, or solved."""
        return self.schedule.finished(self.env_steps)

    def _finish(self) -> None:
        """Every actor's last steps, the updates that they allow, a last evaluation, and a checkpoint."""
        self._ending = True
        for result in self._all([("actor", i, "finish", FINISH) for i in range(self.layout.actors)]):
            if not isinstance(result, Lost):
                self._acted(0, result)
        before = -1
        while self.progress.updates > before:
            before = self.progress.updates
            self._learned(0, self._insist("learner", 0, "train", SLICE))
        self._log()
        self._await_evaluation()
        if self.schedule.evaluation_due(self.env_steps, ending=True):
            self._evaluate()
            self._await_evaluation()
        self.schedule.over(ending=True)
        self.save()

    def _await_evaluation(self) -> None:
        while self._evaluating and not self.schedule.stop:
            self._pump()

    def _rescue(self) -> None:
        """Save after an environment crashed. The shards end the episodes of actors that send nothing more."""
        self._ending = True
        try:
            self.save()
            self.rescued = True
        except Exception as error:  # the environment's own exception says more
            print(f"the run could not be saved: {error!r}", file=sys.stderr)

    # -- the processes ---------------------------------------------------------------------------------

    def _work(
        self, kind: str, index: int, method: str, then: Callable[[int, Any], None], *, pause: float = 0.0
    ) -> None:
        """Call a process repeatedly, however often it is lost, until the run ends."""

        def ask() -> None:
            if not self._ending:
                arguments = () if method == "status" else (SLICE,)
                self._answers[self.fleet.call(kind, index, method, *arguments)] = answer

        def answer(result: Any) -> None:
            lost = isinstance(result, Lost)
            self._heard(kind, index, lost=lost)
            if not lost:
                then(index, result)
            delay = AGAIN if lost else pause
            if delay:
                self._later.append((time.monotonic() + delay, ask))
            else:
                ask()

        ask()

    def _heard(self, kind: str, index: int, *, lost: bool) -> None:
        """Record that a process is lost, or that it has answered (again)."""
        news = self.tally.heard(kind, index, lost=lost, now=time.monotonic())
        if news is not None:
            print(f"\n{news}", file=sys.stderr, flush=True)

    def _pump(self, timeout: float = 0.1) -> None:
        """Wait for results and pass them to the callers."""
        now = time.monotonic()
        due = [action for moment, action in self._later if moment <= now]
        self._later = [(moment, action) for moment, action in self._later if moment > now]
        for action in due:
            action()
        for ticket, result in self.fleet.wait(timeout):
            answer = self._answers.pop(ticket)
            if not isinstance(result, Failed):
                answer(result)
            elif not (self._ending and result.kind in WITH_ENVIRONMENTS):
                raise result

    def _all(self, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The results of concurrent calls, while everything else continues."""
        results: dict[int, Any] = {}
        for i, (kind, index, method, *arguments) in enumerate(calls):
            ticket = self.fleet.call(kind, index, method, *arguments)
            self._answers[ticket] = partial(results.__setitem__, i)
        while len(results) < len(calls):
            self._pump()
        return [results[i] for i in range(len(calls))]

    def _insist(self, kind: str, index: int, method: str, *arguments: Any) -> Any:
        """The result of one call, repeated until there is one."""
        while isinstance(result := self._all([(kind, index, method, *arguments)])[0], Lost):
            self._heard(kind, index, lost=True)
            time.sleep(AGAIN)
        return result

    def _acted(self, actor: int, acted: Acted) -> None:
        self.recent.extend(acted.episodes)
        self.tally.acted(actor, acted)

    def _learned(self, _: int, progress: Progress) -> None:
        if progress.updates < self.progress.updates:
            self.tally.updates_lost += self.progress.updates - progress.updates
        self.progress = progress
        self.env_steps = max(self.env_steps, progress.env_steps)
        self.updates = max(self.updates, progress.updates)

    # -- reports ---------------------------------------------------------------------------------------

    def _log(self) -> None:
        self.schedule.logged(self.env_steps)
        (report,) = self._all([("learner", 0, "report")])
        metrics = {} if isinstance(report, Lost) else dict(report)
        metrics |= self.tally.metrics(self.progress) | self.recent.means()
        self.tracker.log(metrics, env_steps=self.env_steps, updates=self.updates)

    def _evaluate(self) -> None:
        """Greedy episodes with the learner's current weights; logged when they are done."""
        self._evaluating = True
        steps, updates = self.env_steps, self.progress.updates
        weights = self.fleet.call("learner", 0, "weights")
        self._answers[weights] = lambda _: None
        state = self.evaluator.state_dict()
        ticket = self.fleet.call("evaluator", 0, "evaluate", weights, state, steps, updates)

        def done(result: Any) -> None:
            self._evaluating = False
            self._heard("evaluator", 0, lost=isinstance(result, Lost))
            if isinstance(result, Lost):
                self.evaluator.next = self.env_steps + self.config.run.evaluate_period
                return
            state, metrics, videos = result
            self.evaluator.load_state_dict(state)
            self.evaluator.last_return = metrics["evaluate/mean_return"]
            metrics["evaluate/env_steps"] = steps  # of the weights; the record's own are current
            self.tracker.log(metrics, env_steps=self.env_steps, updates=self.updates)
            for name, path in videos.items():
                self.tracker.log_video(name, path, env_steps=self.env_steps)

        self._answers[ticket] = done

    # -- checkpoints -----------------------------------------------------------------------------------

    def save(self) -> Path:
        """Write a checkpoint: the shards their parts, then the learner the rest, which completes it."""
        number = self.schedule.saving(self.env_steps)
        shards = [("shard", i, "save", number) for i in range(self.layout.shards)]
        for call, result in zip(shards, self._all(shards), strict=True):
            if isinstance(result, Lost):
                self._insist(*call)
        path, progress = self._insist("learner", 0, "save", number, self.state_dict())
        self._learned(0, progress)
        return Path(path)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds beside the learner and the shards."""
        return {
            "config": to_dict(self.config),
            "actor": {"steps": self.env_steps},
            "counters": self._counters(),
            "recent": self.recent.state_dict(),
            "evaluator": self.evaluator.state_dict(),
            "tracker": self.tracker.state_dict(),
            "record": self.tally.state_dict(),
        }

    def _counters(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in _COUNTERS} | self.schedule.state_dict()

    def load(self, path: Path) -> None:
        """Resume where `save` left off; `path` is one checkpoint."""
        names = ["config", "counters", "recent", "evaluator", "tracker", "record", "parameter_hash"]
        state = checkpoint.load_part(path, names)  # the learner reads its own
        with restoring(path):
            check_records(state)
            parts = {"evaluator": self.evaluator.state_dict(), "record": self.tally.state_dict()}
            check_alike(state, parts | {"counters": self._counters()}, "")
        check_same_parts(state["config"], self.config)
        before: Config = from_dict(state["config"])
        reshard_checkpoint(self.resolved, before, self.run_dir, state["counters"]["saves"])
        for name in _COUNTERS:
            setattr(self, name, state["counters"][name])
        self.schedule.load_state_dict(state["counters"])
        self.recent.load_state_dict(state["recent"])
        self.evaluator.load_state_dict(state["evaluator"])
        self.tracker.load_state_dict(state["tracker"])
        self.tally.load_state_dict(state["record"])
        self._from = (self.schedule.saves, path)


_COUNTERS = ("env_steps", "updates")
