"""Sequence replay as a library of its own: numpy in, numpy out, no torch."""

from r2d2.replay.combined import Combined
from r2d2.replay.draw import Draw
from r2d2.replay.limiter import RateLimiter
from r2d2.replay.lowest_priority import LowestPriority
from r2d2.replay.mixture import Mixture, MixtureDraw
from r2d2.replay.rank_based import RankBased
from r2d2.replay.recency import Recency
from r2d2.replay.relabelers import Hindsight
from r2d2.replay.removers import Fifo, Remover
from r2d2.replay.replay import Replay
from r2d2.replay.reservoir import Reservoir
from r2d2.replay.selectors import Proportional, Selector, Uniform
from r2d2.replay.sequencer import Sequencer
from r2d2.replay.soft_fifo import SoftFifo
from r2d2.types import Batch, Column, Items

__all__ = [
    "Batch",
    "Column",
    "Combined",
    "Draw",
    "Fifo",
    "Hindsight",
    "Items",
    "LowestPriority",
    "Mixture",
    "MixtureDraw",
    "Proportional",
    "RankBased",
    "RateLimiter",
    "Recency",
    "Remover",
    "Replay",
    "Reservoir",
    "Selector",
    "Sequencer",
    "SoftFifo",
    "Uniform",
]
