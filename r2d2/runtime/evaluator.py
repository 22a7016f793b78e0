"""Evaluator: periodic greedy episodes in environments of their own, and occasional videos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol, SupportsFloat

from r2d2.agent.actor import Episode
from r2d2.agent.actor_critic import AgentNetwork
from r2d2.build import environments
from r2d2.build.agents import EVALUATION, child_seed
from r2d2.config import Config
from r2d2.envs.vector import EnvSpec
from r2d2.runs.folder import VIDEOS
from r2d2.runs.policy_files import Policies
from r2d2.runtime.greedy import Interrupted, film, film_set, make_greedy, never, play, summary


class Log(Protocol):
    """What an evaluation is logged to: a `Tracker`, or something that forwards to one."""

    def log(self, metrics: Mapping[str, SupportsFloat], *, env_steps: int, updates: int) -> None: ...
    def log_video(self, name: str, path: Path, env_steps: int) -> None: ...
    def warn(self, text: str) -> None: ...


class Evaluator:
    """Knows when an evaluation is due and whether one reached the goal; does not affect training."""

    def __init__(self, config: Config, run_dir: Path, tracker: Log) -> None:
        self.config, self.run_dir, self.tracker = config, run_dir, tracker
        self.count = 0
        self.next = config.run.evaluate_period  # environment steps
        self.last_return = float("-inf")  # of this process: a resumed run must reach its goal again
        self._filming = config.run.video_period > 0

    def due(self, steps: int, *, ending: bool) -> bool:
        """Whether to evaluate after `steps` environment steps; always at the end of a run."""
        return self.config.run.evaluate_period > 0 and (steps >= self.next or ending)

    @property
    def solved(self) -> bool:
        """Whether the last evaluation reached `run.stop_return`."""
        goal = self.config.run.stop_return
        return goal is not None and self.last_return >= goal

    def evaluate(
        self,
        network: AgentNetwork,
        *,
        steps: int,
        updates: int,
        stopped: Callable[[], bool] = never,
    ) -> None:
        """Greedy episodes of this network, logged. One that is `stopped` is due again when the run is resumed."""
        before = self.state_dict()
        self.next = steps + self.config.run.evaluate_period
        self.count += 1
        seed = child_seed(self.config.run.seed, EVALUATION, self.count)
        try:
            played, spec = self._play(network, seed, stopped)
        except Interrupted:
            self.load_state_dict(before)
            return
        metrics = summary(played)
        self.last_return = metrics["evaluate/mean_return"]
        policies = Policies(self.run_dir, self.config, spec, self.tracker.warn)
        policies.keep_best(network, env_steps=steps, updates=updates, score=self.last_return)
        self.tracker.log(metrics, env_steps=steps, updates=updates)
        if self._filming and self.count % self.config.run.video_period == 0:
            self._film(network, seed, steps, stopped)

    def _play(
        self, network: AgentNetwork, seed: int, stopped: Callable[[], bool]
    ) -> tuple[list[Episode], EnvSpec]:
        config = self.config
        with closing(environments.vector(config, config.run.evaluate_episodes)) as vector:
            greedy = make_greedy(vector, network)
            return play(greedy, seed, stopped=stopped), vector.spec

    def _film(self, network: AgentNetwork, seed: int, steps: int, stopped: Callable[[], bool]) -> None:
        """One greedy episode as a video. An error is reported once, and the run continues without videos."""
        path = self.run_dir / VIDEOS / f"step-{steps}.mp4"
        try:
            with closing(film_set(self.config)) as single:
                greedy = make_greedy(single, network)
                film(greedy, single, seed, path, stopped=stopped)
        except Interrupted:
            return
        except Exception as error:
            self._filming = False
            self.tracker.warn(f"no videos from now on: {error}")
            return
        self.tracker.log_video("evaluate/video", path, env_steps=steps)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "next": self.next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count, self.next = state["count"], state["next"]
