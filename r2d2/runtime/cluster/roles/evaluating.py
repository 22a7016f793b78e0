"""EvaluatorRole: greedy episodes in a process of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, SupportsFloat

import torch

from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.config import Config
from r2d2.runtime.evaluator import Evaluator


class Recorder:
    """Records what is logged, for another process to log."""

    def __init__(self) -> None:
        self.metrics: dict[str, SupportsFloat] = {}
        self.videos: dict[str, Path] = {}
        self.warnings: list[str] = []

    def log(self, metrics: Mapping[str, SupportsFloat], *, env_steps: int, updates: int) -> None:
        self.metrics |= metrics

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def log_video(self, name: str, path: Path, env_steps: int) -> None:
        self.videos[name] = path


class EvaluatorRole:
    """Composed of the same `Evaluator` as the local runtime."""

    def __init__(self, config: Config, run_dir: Path) -> None:
        self.config = config
        spec = environments.spec(config)
        self.network = build.network(config, spec).to(build.device(config))
        self.recorder = Recorder()
        self.evaluator = Evaluator(config, run_dir, self.recorder)

    def evaluate(
        self, weights: Mapping[str, Any], state: dict[str, Any], steps: int, updates: int
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Path]]:
        """Play with these weights, after `env_steps` and `updates`.

        `state` is that of an `Evaluator`; returns the one after it, the metrics and the videos.
        """
        self.evaluator.load_state_dict(state)
        self.network.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
        self.recorder.metrics, self.recorder.videos = {}, {}
        self.evaluator.evaluate(self.network, steps=steps, updates=updates)
        return self.evaluator.state_dict(), self.recorder.metrics, self.recorder.videos
