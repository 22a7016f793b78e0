"""RateLimiter: the one place where the replay ratio is defined, enforced and measured.

The literature is ambiguous by a factor of four about how often R2D2 replays a step. Here the replay ratio
is *trained steps per environment step*: padding and burn-in do not count, overlap does.
"""

from __future__ import annotations

import math
from typing import Any

from r2d2.replay.checks import check_count
from r2d2.replay.saved import Saved


class RateLimiter:
    """Answers whether a step may be inserted or a batch sampled; it never waits itself.

    Sampling starts after `min_steps` environment steps. From then on the trained steps follow
    `replay_ratio * (steps - min_steps)`, at most `slack` trained steps behind before inserts are refused.
    """

    def __init__(self, replay_ratio: float, *, min_steps: int, slack: float = float("inf")) -> None:
        if not 0 < replay_ratio < math.inf:
            raise ValueError(
                f"replay_ratio must be above 0 trained steps per environment step, got {replay_ratio}"
            )
        if not slack > 0:
            raise ValueError(f"slack must be above 0 trained steps, got {slack}")
        self.replay_ratio = replay_ratio
        self.min_steps = check_count("min_steps", min_steps)
        self.slack = slack
        self.inserted = 0  # environment steps
        self.trained = 0  # trained steps

    @property
    def _due(self) -> float:
        """Trained steps that the steps so far entitle to but that have not been made."""
        return self.replay_ratio * (self.inserted - self.min_steps) - self.trained

    def can_insert(self, steps: int) -> bool:
        """Whether `steps` more environment steps keep the learner at most `slack` trained steps behind."""
        return self.inserted + steps <= self.min_steps or self._due + self.replay_ratio * steps <= self.slack

    def can_sample(self, steps: int) -> bool:
        """Whether a batch of `steps` trained steps is due."""
        return self.inserted >= self.min_steps and self._due >= steps

    def insert(self, steps: int) -> None:
        """Count environment steps."""
        self.inserted += check_count("steps", steps, least=0)

    def sample(self, steps: int) -> None:
        """Count trained steps."""
        self.trained += check_count("steps", steps, least=0)

    @property
    def measured_ratio(self) -> float:
        """Trained steps per environment step since sampling became possible; 0 before."""
        since = self.inserted - self.min_steps
        return self.trained / since if since > 0 else 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"inserted": self.inserted, "trained": self.trained}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        saved = Saved(state, "limiter")
        self.inserted, self.trained = saved.count("inserted"), saved.count("trained")
