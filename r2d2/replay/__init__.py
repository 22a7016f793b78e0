"""Sequence replay as a library of its own: numpy in, numpy out, no torch."""

from r2d2.replay.limiter import RateLimiter
from r2d2.replay.pending_batch import PendingBatch
from r2d2.replay.relabelers.hindsight import Hindsight
from r2d2.replay.removers import Fifo, LowestPriority, Remover, Reservoir, SoftFifo
from r2d2.replay.replay import Replay
from r2d2.replay.selectors import Proportional, RankBased, Recency, Selector, Uniform
from r2d2.replay.selectors.combined import Combined
from r2d2.replay.selectors.mixture import Mixture, PendingMixture
from r2d2.replay.sequencer import Sequencer
from r2d2.types import Batch, Column, Items

__all__ = [
    "Batch",
    "Column",
    "Combined",
    "Fifo",
    "Hindsight",
    "Items",
    "LowestPriority",
    "Mixture",
    "PendingBatch",
    "PendingMixture",
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
