"""EnvConfig: the environments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from r2d2.config.bounds import Bounds


@dataclass(frozen=True)
class EnvConfig:
    """The environments."""

    id: str = "ALE/Pong-v5"
    """ALE id, Gymnasium id, one of our own tasks, or a task of yours: `package:Task-v0` (the package registers it),
    `module:function` or `file.py:function` (which returns an environment)."""
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
    options: dict[str, Any] = field(default_factory=dict)
    """Arguments of the environment's constructor, JSON or words: `--env.options map_name=8x8 is_slippery=false`."""
    channels: Literal["auto", "first", "last"] = "auto"
    """Which axis of images and grids their channels are; `auto` goes by the shape, and says what it took."""
    folder: str = ""
    """Where the module or file of `id` may be; a run remembers the working folder that it was begun in."""
