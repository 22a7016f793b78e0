"""Our replay for Stable-Baselines3: `DQN(..., replay_buffer_class=ReplayBuffer)`, see docs/sb3.md."""

from r2d2.integrations.sb3.buffer import ReplayBuffer
from r2d2.integrations.sb3.hindsight import HindsightReplayBuffer
from r2d2.integrations.sb3.priorities import PrioritizedLoss

__all__ = ["HindsightReplayBuffer", "PrioritizedLoss", "ReplayBuffer"]
