"""Sequence replay as a library of its own: numpy in, numpy out, no torch."""

from r2d2.replay.draw import Draw
from r2d2.replay.limiter import RateLimiter
from r2d2.replay.removers import Fifo, Remover
from r2d2.replay.replay import Replay
from r2d2.replay.selectors import Proportional, Selector, Uniform
from r2d2.replay.sequencer import Sequencer
from r2d2.types import Batch, Column, Items

__all__ = [
    "Batch",
    "Column",
    "Draw",
    "Fifo",
    "Items",
    "Proportional",
    "RateLimiter",
    "Remover",
    "Replay",
    "Selector",
    "Sequencer",
    "Uniform",
]
