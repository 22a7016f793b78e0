"""Evaluator: greedy episodes every so often, in environments of their own, and now and then a video."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, SupportsFloat

from r2d2.agent.networks import QNetwork
from r2d2.build import environments
from r2d2.config import Config
from r2d2.runs.seeds import EVALUATION, child_seed
from r2d2.runtime.evaluate import film_set, make_greedy, play, record, summary


class Log(Protocol):
    """What an evaluation is logged to: a `Tracker`, or what hands it on to one."""

    def log(self, metrics: Mapping[str, SupportsFloat], *, env_steps: int, updates: int) -> None: ...
    def log_video(self, name: str, path: Path, env_steps: int) -> None: ...


class Evaluator:
    """Knows when an evaluation is due and whether one reached the goal; touches nothing of the training."""

    def __init__(self, config: Config, run_dir: Path, tracker: Log) -> None:
        self.config, self.run_dir, self.tracker = config, run_dir, tracker
        self.count = 0
        self.next = config.run.evaluate_period  # environment steps
        self.last_return = float("-inf")  # of this process: a run that is resumed looks for its goal anew
        self._filming = config.run.video_period > 0

    def due(self, steps: int, *, ending: bool) -> bool:
        """Whether to evaluate after so many environment steps; at the end of a run always."""
        return self.config.run.evaluate_period > 0 and (steps >= self.next or ending)

    @property
    def solved(self) -> bool:
        """Whether the last evaluation reached `run.stop_return`."""
        goal = self.config.run.stop_return
        return goal is not None and self.last_return >= goal

    def evaluate(self, network: QNetwork, *, steps: int, updates: int) -> None:
        """Greedy episodes of this network, logged."""
        config = self.config
        self.next = steps + config.run.evaluate_period
        self.count += 1
        seed = child_seed(config.run.seed, EVALUATION, self.count)
        vector = environments.vector(config, config.run.evaluate_episodes)
        greedy = make_greedy(vector, network)
        metrics = summary(play(greedy, seed))
        vector.close()
        self.last_return = metrics["evaluate/mean_return"]
        self.tracker.log(metrics, env_steps=steps, updates=updates)
        if self._filming and self.count % config.run.video_period == 0:
            self._film(network, seed, steps)

    def _film(self, network: QNetwork, seed: int, steps: int) -> None:
        """One greedy episode as a video; what cannot be filmed here is said once and trained on without."""
        path = self.run_dir / "videos" / f"step-{steps}.mp4"
        try:
            single = film_set(self.config)
            greedy = make_greedy(single, network)
            record(greedy, single, seed, path)
            single.close()
        except (ValueError, OSError, RuntimeError) as error:
            self._filming = False
            print(f"no videos from now on: {error}", file=sys.stderr)
            return
        self.tracker.log_video("evaluate/video", path, env_steps=steps)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "next": self.next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count, self.next = state["count"], state["next"]
