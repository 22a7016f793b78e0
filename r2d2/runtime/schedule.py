"""Schedule: when a run logs, saves, evaluates and ends."""

from __future__ import annotations

from collections.abc import Mapping

from r2d2.config import RunConfig
from r2d2.runtime.evaluator import Evaluator

_COUNTERS = ("saves", "next_log", "next_save", "ended_at")


class Schedule:
    """Shared by all runtimes; counts environment steps. Set `stop` at any time to end the run early, with a
    checkpoint."""

    def __init__(self, config: RunConfig, evaluator: Evaluator) -> None:
        self._config, self._evaluator = config, evaluator
        self.stop = False
        self.saves = 0
        self.next_log = config.log_period
        self.next_save = config.checkpoint_period
        self.ended_at = 0  # the `run.steps` at which the run was complete

    def log_due(self, steps: int) -> bool:
        return steps >= self.next_log

    def logged(self, steps: int) -> None:
        self.next_log = steps + self._config.log_period

    def save_due(self, steps: int) -> bool:
        return steps >= self.next_save

    def saving(self, steps: int) -> int:
        """Count a save; returns the number of its checkpoint."""
        self.saves += 1
        self.next_save = steps + self._config.checkpoint_period
        return self.saves

    def evaluation_due(self, steps: int, *, ending: bool) -> bool:
        """At its period, and at the end of a run that was not stopped."""
        return not self.stop and self._evaluator.due(steps, ending=ending)

    def over(self, *, ending: bool) -> bool:
        """Whether the run is over: this was its last step, or an evaluation reached its goal."""
        over = ending or self._evaluator.solved
        if over and not self.stop:
            self.ended_at = self._config.steps
        return over

    def finished(self, steps: int) -> bool:
        """Whether the run is complete, with all its steps or solved, and was not just stopped."""
        return max(self.ended_at, steps) >= self._config.steps

    def state_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in _COUNTERS}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        for name in _COUNTERS:
            setattr(self, name, state[name])
