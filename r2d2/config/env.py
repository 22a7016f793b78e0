"""EnvConfig: the environments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from r2d2.config.bounds import Bounds


@dataclass(frozen=True)
class EnvConfig:
    """The environments."""

    id: str = "ALE/Pong-v5"
    """ALE id, Gymnasium id with discrete actions, or one of our own tasks."""
    num_envs: Annotated[int, Bounds(1, 10**5)] = 64
    """Environments of the vector; the paper has 256 actors with one each."""
    protocol: Literal["paper", "machado"] = "paper"
    """Atari: `paper` (30 no-ops, no sticky actions) or `machado` (sticky actions 0.25)."""
    frame_size: Annotated[int, Bounds(1, 1000)] = 84
    """Atari: height and width of the gray frames, pixels."""
    life_loss: Literal["none", "reset", "roll"] = "none"
    """Atari: what a lost life means to the learner (R2D2 section 5)."""
    threads: Annotated[int, Bounds(0, 10**4)] = 0
    """Atari: emulator threads; 0 is one for each core."""
    options: dict[str, int | float] = field(default_factory=dict)
    """Keyword arguments of our own tasks, as `--env.options delay 20`."""
